// A job: a float network is trained, fine-tuned in several ways on as many threads as there are cores, and each result is
// shipped and judged by what arrives. What differs from job to job is a module that exports its `work`, and how it trains
// the float network and reports. Example: digits/task.ts and digits/main.ts.
import type { Parameters } from "@bitdiet/compression-aware";
import * as tf from "@tensorflow/tfjs-core";
import type { Backend } from "../training/backend.js";
import { useBackend } from "../training/backend.js";
import { runJobs } from "./jobs.js";
import { type PlainTensors, plainOf, tensorsOf } from "./plain-tensors.js";

/** The part of a job that runs on worker threads. @param data plain data, whatever the module needs to know */
export type Work<
  Data,
  Tuning,
  Result,
  Network extends { parameters: Parameters } = { parameters: Parameters },
> = (data: Data) => {
  /** @param title what the progress line says */
  fineTune: (start: Parameters, tuning: Tuning, title: string) => Promise<Network>;
  /** Ships, reads what was shipped, judges it. */
  deploy: (network: Network) => Promise<Result>;
};

/** A network to be fine-tuned. */
export interface NetworkPlan<Tuning> {
  title: string;
  tuning: Tuning;
}

/** What a worker thread is told. */
interface Order<Data, Tuning> extends NetworkPlan<Tuning> {
  module: string;
  data: Data;
  backend: Backend;
  start: PlainTensors;
}

export interface Job<Data, Tuning, Result> {
  backend: Backend;
  /** URL of the TypeScript module that exports `work`. */
  module: URL;
  data: Data;
  /** The float network, on this thread; the job disposes of it. */
  train: () => Promise<Parameters>;
  networks: readonly NetworkPlan<Tuning>[];
  /** @param seconds since the job began */
  report: (float: Parameters, results: Result[], seconds: () => number) => Promise<void>;
}

export async function runJob<Data, Tuning, Result>(job: Job<Data, Tuning, Result>): Promise<void> {
  const begin = performance.now();
  await useBackend(job.backend);
  const float = await job.train();
  const results = await fineTuneAll<Data, Tuning, Result>(float, job);
  await job.report(float, results, () => (performance.now() - begin) / 1000);
  tf.dispose(float);
}

/** Fine-tunes, ships and judges every network; results are in their order. */
export function fineTuneAll<Data, Tuning, Result>(
  float: Parameters,
  {
    module,
    data,
    backend,
    networks,
  }: Pick<Job<Data, Tuning, Result>, "module" | "data" | "backend" | "networks">,
): Promise<Result[]> {
  const start = plainOf(float);
  const orders = networks.map((network) => ({ ...network, module: module.href, data, backend, start }));
  return runJobs(new URL(import.meta.url), orders);
}

/** A thread's side. */
export async function answer<Data, Tuning, Result>(order: Order<Data, Tuning>): Promise<Result> {
  await useBackend(order.backend);
  const { work } = (await import(order.module)) as { work: Work<Data, Tuning, Result> };
  const { fineTune, deploy } = work(order.data);
  const start = tensorsOf(order.start);
  const network = await fineTune(start, order.tuning, order.title);
  const result = await deploy(network);
  tf.dispose([start, network.parameters]);
  return result;
}
