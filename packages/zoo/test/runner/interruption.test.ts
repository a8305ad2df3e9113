import { spawn } from "node:child_process";
import { once } from "node:events";
import { expect, test } from "vitest";

const script = `
import { TRY_AGAIN, untilTold } from ${JSON.stringify(new URL("../../src/runner/interruption.ts", import.meta.url).href)};
const told = untilTold();
const running = setInterval(() => {}, 1000);
// Keeping what there is takes a while.
told.addEventListener("abort", () => setTimeout(() => {
  clearInterval(running);
  process.exitCode = TRY_AGAIN;
}, 1000));
told.addEventListener("abort", () => console.log("told"));
console.log("running");
`;

test("a run that is told to end twice ends by itself, once it has kept what it has", async () => {
  const args = ["--import", "tsx", "--input-type=module", "--eval", script];
  const run = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
  const ended = once(run, "exit");
  const said = async () => String((await once(run.stdout, "data"))[0]).trim();
  expect(await said()).toBe("running");
  run.kill("SIGTERM");
  expect(await said()).toBe("told");
  run.kill("SIGTERM");
  expect(await ended).toEqual([75, null]);
}, 60_000);
