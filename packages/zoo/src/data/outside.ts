// Where the reference values and the data of the tests are: outside the repository, because they carry licences of
// their own. BITDIET_FIXTURES and BITDIET_DATA name the folders; by default they lie beside the repository.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const beside = fileURLToPath(new URL("../../../../../shared", import.meta.url));

/** A file of reference values, or undefined, with a plain message, where it is absent. */
export function fixture(path: string): string | undefined {
  return present(join(process.env["BITDIET_FIXTURES"] ?? join(beside, "fixtures"), path), "BITDIET_FIXTURES");
}

/** A file of the data folder, or undefined, with a plain message, where it is absent. */
export function dataFile(path: string): string | undefined {
  return present(join(process.env["BITDIET_DATA"] ?? join(beside, "data"), path), "BITDIET_DATA");
}

function present(path: string, variable: string): string | undefined {
  if (existsSync(path)) return path;
  console.warn(`Tests are skipped: no ${path} (set ${variable} to the folder that holds it).`);
  return undefined;
}
