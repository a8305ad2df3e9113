/**
 * A model's outputs on the bench's inputs, and its tensors as plain files see them.
 *
 *     const runner = await runnerOf(model);
 *     const outputs = await outputsOf(runner, inputs.map((feeds) => named(runner, feeds)), subject);
 */
import type { Model } from "bitdiet";
import { findRunner } from "bitdiet/node";
import type { Runner } from "bitdiet/run";
import type { PlainTensor } from "./baselines.js";
import type { Feeds, Outputs, Subject } from "./subjects.js";

/** @throws {Error} if nothing here runs it */
export async function runnerOf(model: Model): Promise<Runner> {
  const runner = await findRunner(model);
  if (typeof runner === "string") throw new Error(runner);
  return runner;
}

export async function outputsOf(
  runner: Runner,
  inputs: readonly Feeds[],
  subject: Subject,
  replaced?: ReadonlyMap<string, Float32Array>,
): Promise<Outputs[]> {
  return (await steps(runner, inputs, subject, replaced)).map(({ outputs }) => outputs);
}

/** Inputs with the states that the model comes to on its way through them. */
export async function withStates(
  runner: Runner,
  inputs: readonly Feeds[],
  subject: Subject,
): Promise<Feeds[]> {
  if (!subject.states) return [...inputs];
  return (await steps(runner, inputs, subject)).map(({ feeds }) => feeds);
}

async function steps(
  runner: Runner,
  inputs: readonly Feeds[],
  { states = {} }: Subject,
  replaced?: ReadonlyMap<string, Float32Array>,
): Promise<{ feeds: Feeds; outputs: Outputs }[]> {
  const all: { feeds: Feeds; outputs: Outputs }[] = [];
  for (const given of inputs) {
    const feeds = new Map(given);
    for (const [output, input] of Object.entries(states)) {
      const state = all.at(-1)?.outputs.get(output);
      if (state) feeds.set(input, state as never);
    }
    all.push({ feeds, outputs: (await runner.run(feeds as never, replaced)) as Outputs });
  }
  return all;
}

/** A model's only input has the name that its framework gave it. */
export function named({ inputs }: Runner, feeds: Feeds): Feeds {
  return inputs.length === 1 && feeds.size === 1
    ? new Map([[inputs[0].name, [...feeds.values()][0]]])
    : feeds;
}

export async function plainTensors({ tensors }: Model): Promise<PlainTensor[]> {
  return Promise.all(
    tensors.map(async (tensor) => {
      const { name, dtype, shape, use } = tensor;
      const plain = { name, dtype, shape, bytes: await tensor.bytes() };
      return "channelAxis" in use ? { ...plain, channelAxis: use.channelAxis } : plain;
    }),
  );
}
