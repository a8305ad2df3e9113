// Compiles assembly/index.ts to WebAssembly with SIMD and writes it, base64, as src/generated/kernels.ts.
import { mkdir, writeFile } from "node:fs/promises";
import asc from "assemblyscript/asc";

const folder = new URL("../", import.meta.url);
const outputs = new Map();
const { error, stderr } = await asc.main(
  [
    "assembly/index.ts",
    "--outFile=kernels.wasm",
    "--enable=simd",
    "--importMemory",
    "--runtime=stub",
    "--noAssert",
    "-O3",
    "--converge",
    `--baseDir=${decodeURIComponent(folder.pathname)}`,
  ],
  { writeFile: (name, contents) => outputs.set(name, contents) },
);
if (error) {
  console.error(stderr.toString());
  process.exit(1);
}

const binary = outputs.get("kernels.wasm");
const module = new WebAssembly.Module(binary);
// The memory belongs to tfjs-backend-wasm: data, globals or imported functions of our own would write into it.
const imports = WebAssembly.Module.imports(module);
const sections = sectionIds(binary);
if (imports.length !== 1 || imports[0].kind !== "memory" || sections.has(6) || sections.has(11)) {
  console.error(
    "assembly/: the module may import the memory alone, and hold neither globals nor data",
    imports,
  );
  process.exit(1);
}

await mkdir(new URL("src/generated/", folder), { recursive: true });
await writeFile(
  new URL("src/generated/kernels.ts", folder),
  `/** assembly/index.ts, ${binary.length} bytes; written by scripts/compile.mjs. */\n` +
    `export const kernelsBase64 =\n  "${Buffer.from(binary).toString("base64")}";\n`,
);

/** The ids of a module's sections: 6 holds globals, 11 data. */
function sectionIds(bytes) {
  const ids = new Set();
  for (let at = 8; at < bytes.length; ) {
    ids.add(bytes[at++]);
    let size = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = bytes[at++];
      size |= (byte & 127) << shift;
      if (byte < 128) break;
    }
    at += size;
  }
  return ids;
}
