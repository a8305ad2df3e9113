// A program of several ranks: trains 50 steps and prints a hash of every rank's parameters, and of the losses.
// `mpirun -np 4 -x BITDIET_TOKEN node --import tsx train-ranks.ts [checkpoint]`
import { createHash } from "node:crypto";
import { launchOf } from "../../src/ring/launch.js";
import { joinRanks, oneRank } from "../../src/ring/ranks.js";
import { exitWith } from "../../src/runner/command-line.js";
import { untilTold } from "../../src/runner/interruption.js";
import { useBackend } from "../../src/training/backend.js";
import { agreeWith, startWorkers } from "../../src/training/data-parallel.js";
import { type Gradients, train } from "../../src/training/loop.js";
import { problem } from "./resnet-replica.js";

await exitWith("train-ranks", async () => {
  const [path] = process.argv.slice(2);
  const told = untilTold();
  await useBackend("wasm");
  const ranks = process.env["BITDIET_TOKEN"] === undefined ? oneRank : await joinRanks(launchOf());
  const { variables } = problem({ index: 0, count: 1 });
  const module = new URL("./resnet-replica.ts", import.meta.url);
  const losses = createHash("sha256");
  try {
    const { gradients, stop } = await startWorkers({ module, options: {}, workers: 1, ranks, told });
    const noted: Gradients = async (...step) => {
      const found = await gradients(...step);
      losses.update(`${found.loss} ${JSON.stringify(found.logged)}`);
      return found;
    };
    const checkpoint =
      path === undefined || ranks.rank > 0 ? undefined : { path, every: 10, resume: true, stop: told };
    const groups = [{ variables, learningRate: 0.01 }];
    await train({ task: "ranks", steps: 50, groups, gradients: noted, checkpoint, agree: agreeWith(ranks) });
    await stop();
  } catch (error) {
    await ranks.leave((error as Error).message);
    throw error;
  }
  await ranks.leave();
  const hash = createHash("sha256");
  for (const variable of variables) hash.update(variable.dataSync<"float32">());
  const words = [
    `rank ${ranks.rank} of ${ranks.count}`,
    hash.digest("hex"),
    losses.digest("hex").slice(0, 16),
  ];
  console.log(words.join(" "));
});
