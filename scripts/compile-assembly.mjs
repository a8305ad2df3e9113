// Compiles a package's assembly/index.ts to WebAssembly with SIMD, for its scripts/compile.mjs.
import { mkdir, writeFile } from "node:fs/promises";
import asc from "assemblyscript/asc";

/** The module's bytes. `folder` is the package's as a URL; `options` are more of the compiler's. */
export async function compiled(folder, options) {
  const outputs = new Map();
  const { error, stderr } = await asc.main(
    [
      "assembly/index.ts",
      "--outFile=kernels.wasm",
      "--enable=simd",
      "--runtime=stub",
      "--noAssert",
      "-O3",
      "--converge",
      `--baseDir=${decodeURIComponent(folder.pathname)}`,
      ...options,
    ],
    { writeFile: (name, contents) => outputs.set(name, contents) },
  );
  if (error) {
    console.error(stderr.toString());
    process.exit(1);
  }
  return outputs.get("kernels.wasm");
}

/** Writes the module as src/generated/kernels.ts; in base64, or in hex, which is longer but a fifth shorter behind gzip. */
export async function writeModule(folder, binary, encoding) {
  await mkdir(new URL("src/generated/", folder), { recursive: true });
  await writeFile(
    new URL("src/generated/kernels.ts", folder),
    `/** assembly/index.ts, ${binary.length} bytes; written by scripts/compile.mjs. */\n` +
      `export const kernels =\n  "${Buffer.from(binary).toString(encoding)}";\n`,
  );
}
