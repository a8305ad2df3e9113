import { mkdirSync, writeFileSync } from "node:fs";
mkdirSync("src/generated", { recursive: true });
writeFileSync("src/generated/kernels.ts", 'export const kernelsBase64 = "";\n');
