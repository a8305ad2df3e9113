/**
 * One training step (forward, backward, SGD) of ResNet-20 on CIFAR-sized images and of a two-layer BERT: the wasm
 * backend with @bitdiet/wasm-training, against PyTorch with one thread, in turn, and against the cpu backend on a
 * smaller batch. E.g. ResNet-20 with 64 images of 32 × 32 is 15.7 GFLOP a step when convolved directly.
 */
import { type ChildProcessWithoutNullStreams, spawn, spawnSync } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { registerTrainingKernels } from "@bitdiet/wasm-training";
import { normalizeByBatchStatistics } from "@bitdiet/zoo/nets/batch-norm";
import { type BertConfig, bert, initialBert } from "@bitdiet/zoo/nets/bert";
import { variables } from "@bitdiet/zoo/nets/parameters";
import { cifarResnet, initialCifarResnet } from "@bitdiet/zoo/nets/resnet";
import * as tf from "@tensorflow/tfjs-core";
import "@tensorflow/tfjs-layers";
import "@tensorflow/tfjs-backend-cpu";
import "@tensorflow/tfjs-backend-wasm";
import { alternate, type Timing } from "./timing.js";

/** A network with its data on the active backend. */
interface Trainee {
  /** One step; returns the loss. */
  step(): number;
  dispose(): void;
}

interface Network {
  name: string;
  batch: number;
  /** What python/training.py is told. */
  python: string[];
  /** Items of the step that the cpu backend runs, its time scaled to the batch; none where it would only take long. */
  cpuBatch?: number;
  create(batch: number): Trainee;
}

const LEARNING_RATE = 0.01;

const bertConfig: BertConfig = {
  vocabSize: 30_522,
  hiddenSize: 128,
  numHiddenLayers: 2,
  numAttentionHeads: 2,
  intermediateSize: 512,
  maxPositionEmbeddings: 512,
  typeVocabSize: 2,
  layerNormEps: 1e-12,
  numLabels: 2,
};

function trainee(parameters: tf.NamedTensorMap, data: tf.Tensor[], loss: () => tf.Scalar): Trainee {
  const optimizer = tf.train.sgd(LEARNING_RATE);
  return {
    step: () => {
      const value = optimizer.minimize(loss, true) as tf.Scalar;
      const [number] = value.dataSync();
      value.dispose();
      return number;
    },
    dispose: () => {
      optimizer.dispose();
      tf.dispose([...Object.values(parameters), ...data]);
    },
  };
}

function classes(batch: number, count: number): tf.Tensor2D {
  return tf.tidy(() => {
    const labels = Array.from({ length: batch }, (_, index) => index % count);
    return tf.oneHot(tf.tensor1d(labels, "int32"), count) as tf.Tensor2D;
  });
}

function resnet20(batch: number): Trainee {
  const initial = initialCifarResnet(20, 10, 1);
  const parameters = variables(initial);
  tf.dispose(initial);
  const x = tf.randomNormal([batch, 32, 32, 3], 0, 1, "float32", 1) as tf.Tensor4D;
  const labels = classes(batch, 10);
  return trainee(parameters, [x, labels], () => {
    const statistics: Parameters<typeof normalizeByBatchStatistics>[1] = {};
    const logits = cifarResnet(parameters, x, {}, normalizeByBatchStatistics(parameters, statistics));
    // The running averages are no part of the step measured.
    for (const { mean, variance } of Object.values(statistics)) tf.dispose([mean, variance]);
    return tf.losses.softmaxCrossEntropy(labels, logits) as tf.Scalar;
  });
}

function bertOf(length: number): (batch: number) => Trainee {
  return (batch) => {
    const initial = initialBert(bertConfig, 1);
    const parameters = variables(initial);
    tf.dispose(initial);
    const tokens = Array.from(
      { length: batch * length },
      (_, index) => (index * 7919) % bertConfig.vocabSize,
    );
    const ids = tf.tensor2d(tokens, [batch, length], "int32");
    const mask = tf.ones([batch, length]) as tf.Tensor2D;
    const tokenTypes = tf.zeros([batch, length], "int32") as tf.Tensor2D;
    const labels = classes(batch, 2);
    return trainee(parameters, [ids, mask, tokenTypes, labels], () => {
      const logits = bert(parameters, bertConfig, { ids, mask, tokenTypes });
      return tf.losses.softmaxCrossEntropy(labels, logits) as tf.Scalar;
    });
  };
}

const networks: Network[] = [
  { name: "ResNet-20, 64 × 32×32×3", batch: 64, python: ["resnet", "64"], cpuBatch: 1, create: resnet20 },
  {
    name: "BERT L2 H128, 32 × 32 tokens",
    batch: 32,
    python: ["bert", "32", "32"],
    cpuBatch: 1,
    create: bertOf(32),
  },
  {
    name: "BERT L2 H128, 32 × 64 tokens",
    batch: 32,
    python: ["bert", "32", "64"],
    create: bertOf(64),
  },
];

/** The first python that has torch, or undefined. */
function findPython(): string | undefined {
  const candidates = [process.env.PYTHON, "/usr/bin/python3", "python3"].filter((path) => path !== undefined);
  return candidates.find((path) => spawnSync(path, ["-c", "import torch"], { stdio: "ignore" }).status === 0);
}

/** A running python/training.py. */
interface PyTorch {
  version: string;
  /** Speed of its matrix product: tells which BLAS it has. */
  gflops: number;
  step(): Promise<number>;
  /** Ends it; returns its peak resident megabytes. */
  end(): Promise<number>;
}

async function startPyTorch(python: string, parameters: string[]): Promise<PyTorch> {
  const script = fileURLToPath(new URL("../python/training.py", import.meta.url));
  const environment = {
    ...process.env,
    OMP_NUM_THREADS: "1",
    OPENBLAS_NUM_THREADS: "1",
    MKL_NUM_THREADS: "1",
  };
  const child: ChildProcessWithoutNullStreams = spawn(python, [script, ...parameters], { env: environment });
  child.stderr.pipe(process.stderr);
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const next = async () => {
    const { value, done } = await lines.next();
    if (done) throw new Error(`${python} ${script} ended before it answered`);
    return value as string;
  };
  const [version, gflops] = (await next()).split(" ");
  return {
    version,
    gflops: Number(gflops),
    step: async () => {
      child.stdin.write("\n");
      return Number(await next());
    },
    end: async () => {
      child.stdin.end();
      return Number(await next());
    },
  };
}

export interface TrainingResult {
  network: string;
  wasmMs: number;
  pytorchMs?: number;
  /** Median of wasm / PyTorch. */
  ratio?: number;
  /** Time of one step, scaled where the step was smaller. */
  cpuMs?: number;
  residentMB: number;
  heapMB: number;
  pytorchResidentMB?: number;
}

/** Single kernels that the wasm backend ships and @bitdiet/wasm-training replaces, at sizes of the networks. */
function kernelCalls(): Array<{
  what: string;
  name: string;
  inputs: tf.NamedTensorMap;
  attrs: tf.NamedAttrMap;
}> {
  const random = (...shape: number[]) => tf.randomNormal(shape, 0, 1, "float32", 1);
  const geometry = { strides: 1, pad: "same", dataFormat: "NHWC", dilations: 1 };
  const map = random(64, 16, 16, 32);
  const filter = random(3, 3, 32, 32);
  const product = (what: string, a: tf.Tensor, b: tf.Tensor, transposeA: boolean, transposeB: boolean) => ({
    what,
    name: "BatchMatMul",
    inputs: { a, b },
    attrs: { transposeA, transposeB },
  });
  return [
    {
      what: "conv2d, 64 × 16×16×32, 32 filters 3×3",
      name: "Conv2D",
      inputs: { x: map, filter },
      attrs: geometry,
    },
    {
      what: "its input gradient",
      name: "Conv2DBackpropInput",
      inputs: { dy: map, filter },
      attrs: { ...geometry, inputShape: map.shape },
    },
    product("matMul, [1024, 128] · [128, 512]", random(1, 1024, 128), random(1, 128, 512), false, false),
    product("matMul, [1024, 128]ᵀ · [1024, 512]", random(1, 1024, 128), random(1, 1024, 512), true, false),
    product("matMul, [1024, 512] · [128, 512]ᵀ", random(1, 1024, 512), random(1, 128, 512), false, true),
    product("matMul, 64 × [32, 32] · [32, 64]", random(64, 32, 32), random(64, 32, 64), false, false),
    { what: "clone of 4 MB", name: "Identity", inputs: { x: random(1024, 1024) }, attrs: {} },
    {
      what: "sum of [1024, 512] over its rows",
      name: "Sum",
      inputs: { x: random(1024, 512) },
      attrs: { axis: 0, keepDims: false },
    },
    { what: "exp of [1024, 512]", name: "Exp", inputs: { x: random(1024, 512) }, attrs: {} },
  ];
}

/** Shipped kernel against ours, in turn. Registers ours. */
async function compareKernels(
  quick: boolean,
): Promise<Array<{ what: string; shippedMs: number; oursMs: number }>> {
  await tf.setBackend("wasm");
  const calls = kernelCalls();
  const kernel = (name: string) => tf.getKernel(name, "wasm").kernelFunc;
  const shipped = new Map(calls.map(({ name }) => [name, kernel(name)]));
  registerTrainingKernels();
  const results = [];
  for (const { what, name, inputs, attrs } of calls) {
    const runner = (kernelFunc: tf.KernelFunc) => () => {
      const output = kernelFunc({ inputs, attrs, backend: tf.backend() }) as tf.TensorInfo;
      tf.backend().disposeData(output.dataId);
    };
    const [theirs, ours] = await alternate(
      { shipped: runner(shipped.get(name) as tf.KernelFunc), ours: runner(kernel(name)) },
      { rounds: quick ? 3 : 9, minMs: 30 },
    );
    results.push({ what, shippedMs: theirs.medianMs, oursMs: ours.medianMs });
    const factor = (theirs.medianMs / ours.medianMs).toFixed(1);
    console.log(
      `${what}: shipped ${theirs.medianMs.toFixed(2)} ms, ours ${ours.medianMs.toFixed(3)} ms, ${factor}×`,
    );
  }
  for (const { inputs } of calls) tf.dispose(inputs);
  return results;
}

/** Prints one line a kernel and a network and returns the figures. Throws if a step leaks a tensor. */
export async function run({ quick }: { quick: boolean }) {
  const kernels = await compareKernels(quick);
  return { kernels, steps: await compareSteps(quick) };
}

async function compareSteps(quick: boolean): Promise<TrainingResult[]> {
  const python = findPython();
  if (!python)
    console.log("No python3 with torch: no comparison with PyTorch (set PYTHON to one that has it).");
  const results: TrainingResult[] = [];
  for (const network of networks) results.push(await measure(network, python, quick));
  if (quick) {
    console.log("The cpu backend is left out of a quick run.");
    return results;
  }
  for (const [index, network] of networks.entries()) {
    if (network.cpuBatch === undefined) continue;
    const cpuMs = await cpuStep(network, network.cpuBatch);
    results[index].cpuMs = cpuMs;
    const how = ` (a step of ${network.cpuBatch}, scaled to ${network.batch})`;
    const factor = (cpuMs / results[index].wasmMs).toFixed(0);
    console.log(
      `${network.name}: cpu backend ${(cpuMs / 1000).toFixed(1)} s${how}, ${factor} times the wasm backend's`,
    );
  }
  return results;
}

async function measure(
  network: Network,
  python: string | undefined,
  quick: boolean,
): Promise<TrainingResult> {
  await tf.setBackend("wasm");
  const { step, dispose } = network.create(network.batch);
  step();
  const { numTensors } = tf.memory();
  const pytorch = python ? await startPyTorch(python, network.python) : undefined;
  if (pytorch) {
    console.log(
      `PyTorch ${pytorch.version}, one thread, matrix product ${pytorch.gflops.toFixed(0)} GFLOP/s`,
    );
  }
  const timings: Timing[] = await alternate(
    { wasm: step, ...(pytorch ? { pytorch: () => pytorch.step() } : {}) },
    { rounds: quick ? 5 : 15, warmup: 3 },
  );
  const leaked = tf.memory().numTensors - numTensors;
  if (leaked !== 0) throw new Error(`${network.name}: the steps leak ${leaked} tensors`);
  dispose();
  const [wasm, torch] = timings;
  const backend = tf.backend() as unknown as { wasm: { HEAPU8: Uint8Array } };
  const result: TrainingResult = {
    network: network.name,
    wasmMs: wasm.medianMs,
    pytorchMs: torch?.medianMs,
    ratio: torch && wasm.medianMs / torch.medianMs,
    residentMB: Math.round(process.resourceUsage().maxRSS / 1024),
    heapMB: Math.round(backend.wasm.HEAPU8.length / 2 ** 20),
    pytorchResidentMB: pytorch && Math.round(await pytorch.end()),
  };
  const against = torch
    ? `PyTorch ${torch.medianMs.toFixed(0)} ms (best ${torch.minMs.toFixed(0)}, peak ${result.pytorchResidentMB} MB): ` +
      `ratio ${result.ratio?.toFixed(2)} (best ${(wasm.minMs / torch.minMs).toFixed(2)})`
    : "";
  console.log(
    `${network.name}: wasm ${wasm.medianMs.toFixed(0)} ms (best ${wasm.minMs.toFixed(0)}, peak so far ` +
      `${result.residentMB} MB, heap ${result.heapMB} MB) ${against}`,
  );
  return result;
}

/** Milliseconds of one step on the cpu backend, scaled to the network's batch. */
async function cpuStep(network: Network, batch: number): Promise<number> {
  await tf.setBackend("cpu");
  const { step, dispose } = network.create(batch);
  const start = performance.now();
  step();
  const elapsed = performance.now() - start;
  dispose();
  await tf.setBackend("wasm");
  return (elapsed * network.batch) / batch;
}
