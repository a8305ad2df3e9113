import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";

const examples = join(import.meta.dirname, "..");

test("processes train one network and send far fewer bytes than floats are", {
  timeout: 300_000,
}, async () => {
  const flags = ["--clients", "2", "--rounds", "1", "--steps", "1", "--json"];
  const args = ["--import", "tsx", "federated/main.ts", ...flags];
  const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: examples });
  const { results } = JSON.parse(stdout);
  const [float32, int8, bitdiet] = results;
  expect(results.map(({ way }: { way: string }) => way)).toEqual(["float32", "8 bits", "bitdiet"]);
  expect(float32.bytesUp / int8.bytesUp).toBeCloseTo(4, 1);
  console.log(stdout);
  expect(float32.bytesUp / bitdiet.bytesUp).toBeGreaterThan(50);
});
