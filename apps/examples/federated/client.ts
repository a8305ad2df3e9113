// A client of federated learning: a process of its own, with digits that never leave it. It takes the weights of a round, trains on
// them, and answers with what has changed.
import { loadDigits } from "@bitdiet/zoo/data/mnist";
import { wholeBatches } from "@bitdiet/zoo/data/whole-batches";
import { digitCnn } from "@bitdiet/zoo/nets/digit-cnn";
import { useBackend } from "@bitdiet/zoo/training/backend";
import { gradientsOf, train } from "@bitdiet/zoo/training/loop";
import { crossEntropy } from "@bitdiet/zoo/training/losses";
import * as tf from "@tensorflow/tfjs-core";
import type { Change } from "bitdiet";
import { BATCH, batches } from "../digits/float.js";
import { ways } from "./ways.js";

/** What the server sends first. */
export interface Start {
  client: number;
  clients: number;
  /** Name of the way to send changes. */
  way: string;
  /** Batches of a round; at most those that its digits make. */
  steps: number;
  seed: number;
}

/** And for each round: the weights as they are. */
export interface Round {
  round: number;
  tensors: readonly Change[];
}

export type Answer = { bytes: Uint8Array } | { error: string };

const LEARNING_RATE = 2e-3;

async function serve({
  client,
  clients,
  way,
  steps,
  seed,
}: Start): Promise<(round: Round) => Promise<Uint8Array>> {
  await useBackend("wasm");
  const { training } = loadDigits();
  const mine = Array.from({ length: training.count }, (_, i) => i).filter((i) => i % clients === client);
  const pixels = training.images.length / training.count;
  const digits = {
    images: Float32Array.from(
      mine.flatMap((i) => [...training.images.subarray(i * pixels, (i + 1) * pixels)]),
    ),
    labels: Int32Array.from(mine, (i) => training.labels[i]),
    count: mine.length,
  };
  const send = ways.find(({ name }) => name === way)!.sender();
  return async ({ round, tensors }) => {
    const parameters = Object.fromEntries(
      tensors.map(({ name, shape, values }) => [name, tf.variable(tf.tensor(values, [...shape]))]),
    );
    const batch = batches(digits, seed + 1000 * (client + 1) + round);
    await train({
      task: `client ${client}, round ${round}`,
      steps: Math.min(steps, wholeBatches(digits.count, BATCH)),
      groups: [{ variables: Object.values(parameters), learningRate: LEARNING_RATE }],
      schedule: () => 1,
      gradients: gradientsOf((step) => {
        const { x, labels } = batch(step);
        return crossEntropy(labels, digitCnn(parameters, x));
      }),
    });
    const changes = tensors.map(({ name, shape, values }) => {
      const after = parameters[name].dataSync<"float32">();
      return { name, shape, values: Float32Array.from(values, (before, i) => after[i] - before) };
    });
    tf.dispose(parameters);
    return send(changes);
  };
}

let serving: ReturnType<typeof serve> | undefined;
process.on("message", async (message: Start | Round) => {
  try {
    if ("client" in message) serving = serve(message);
    else process.send!({ bytes: await (await serving!)(message) } satisfies Answer);
  } catch (error) {
    process.send!({ error: (error as Error).message } satisfies Answer);
  }
});
process.on("disconnect", () => process.exit(0));
