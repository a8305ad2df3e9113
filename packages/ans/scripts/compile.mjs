// Compiles assembly/index.ts to WebAssembly with SIMD and writes it, in hex, as src/generated/kernels.ts.
import { compiled, writeModule } from "../../../scripts/compile-assembly.mjs";

const folder = new URL("../", import.meta.url);
// Its own memory, which grows as tensors need it.
await writeModule(folder, await compiled(folder, ["--initialMemory", "1"]), "hex");
