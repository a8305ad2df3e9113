/**
 * A plug-in for Vite and Rollup: a .bitdiet file in an import is its bytes, fetched beside the bundle and not put into it as
 * base64 (which would make it a third larger, and a string first).
 *
 *     import { bitdiet } from "bitdiet/vite";            // vite.config.js
 *     export default { plugins: [bitdiet()] };
 *
 *     import model from "../model.bitdiet";               // a Uint8Array
 *     await tf.loadLayersModel(fromBitdiet(model));
 */

/** The part of Vite's and Rollup's plug-in interface that this one uses. */
export interface BitdietPlugin {
  name: string;
  enforce: "pre";
  configResolved(config: { command: string; root: string; base: string }): void;
  load(
    this: {
      emitFile(file: { type: "asset"; name: string; source: Uint8Array }): string;
      addWatchFile(id: string): void;
    },
    id: string,
  ): Promise<string | undefined>;
}

/** Makes a module of every imported .bitdiet file: its default export is the file's bytes, a Uint8Array. */
export function bitdiet(): BitdietPlugin {
  let server: { root: string; base: string } | undefined;
  return {
    name: "bitdiet",
    // Before Vite's own handling of assets.
    enforce: "pre",
    configResolved({ command, root, base }) {
      if (command === "serve") server = { root, base };
    },
    async load(id) {
      const [path, query] = id.split("?", 2);
      if (!path.endsWith(".bitdiet") || query !== undefined) return undefined;
      const { readFile } = await import("node:fs/promises");
      const { basename, relative } = await import("node:path");
      let url: string;
      if (server) {
        // While developing, the file is served from where it lies.
        const inRoot = relative(server.root, path).replaceAll("\\", "/");
        url = JSON.stringify(
          server.base + (inRoot.startsWith("..") ? `@fs${path.startsWith("/") ? "" : "/"}${path}` : inRoot),
        );
      } else {
        const source = await readFile(path);
        this.addWatchFile(path);
        const reference = this.emitFile({ type: "asset", name: basename(path), source });
        url = `import.meta.ROLLUP_FILE_URL_${reference}`;
      }
      return [
        `const response = await fetch(${url});`,
        `if (!response.ok) throw new Error(${JSON.stringify(basename(path))} + ": HTTP " + response.status);`,
        "export default new Uint8Array(await response.arrayBuffer());",
      ].join("\n");
    },
  };
}
