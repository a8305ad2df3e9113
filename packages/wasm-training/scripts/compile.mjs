// Compiles assembly/index.ts to WebAssembly with SIMD and writes it, base64, as src/generated/kernels.ts.
import { compiled, writeModule } from "../../../scripts/compile-assembly.mjs";

const folder = new URL("../", import.meta.url);
const binary = await compiled(folder, ["--importMemory"]);
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

await writeModule(folder, binary, "base64");

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
