/** Small models with every feature of the file: the golden files are made of them, and the other tests use them, too. */
import type { SourceModel, SourceTensor } from "../src/file/encode.js";
import type { QuantizedTensor } from "../src/file/quantized-tensor.js";
import { toRows } from "../src/file/rows.js";
import { nearestOnGrid } from "../src/file/step-grid.js";
import { type Dtype, dtypeBits, dtypeNames, type IntegerRows, tensorBytes } from "../src/model.js";

/** Uniform in (0, 1), from a seed. */
export function random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state + 0.5) / 2 ** 32;
  };
}

/** Rounded Laplace variates of this scale: weights look like this. */
export function laplace(count: number, scale: number, seed: number): Int32Array {
  const next = random(seed);
  return Int32Array.from({ length: count }, () =>
    Math.round((next() < 0.5 ? 1 : -1) * scale * -Math.log(next())),
  );
}

/** A weight with a step of its own for each slice along the axis, on a grid of quarter octaves. */
export function weight(shape: number[], axis: number, scale: number, seed: number): QuantizedTensor {
  const size = shape.reduce((a, b) => a * b, 1);
  const next = random(seed + 1);
  const steps = Float32Array.from({ length: shape[axis] ?? 1 }, () => nearestOnGrid(0.01 + 0.1 * next(), 4));
  return { shape, integers: toRows(laplace(size, scale, seed), shape, axis), axis, steps };
}

const text = (string: string) => new TextEncoder().encode(string);
export const bytesOf = (values: ArrayBufferView) =>
  new Uint8Array(values.buffer, values.byteOffset, values.byteLength).slice();

/** Every kind of tensor, each small. */
export function everyKind(): SourceModel {
  const next = random(5);
  const floats = Float32Array.from({ length: 100 }, () => next() * 2 - 1);
  const oihw = weight([8, 4, 3, 3], 0, 1.2, 1);
  oihw.steps[2] = 0;
  oihw.integers.fill(0, 2 * 36, 3 * 36);
  const tensors: SourceTensor[] = [
    { name: "conv1/kernel", dtype: "float32", quantized: weight([3, 3, 4, 8], 3, 1, 2) },
    {
      name: "conv1/bias",
      dtype: "float32",
      quantized: { shape: [8], integers: laplace(8, 20, 3), axis: 0, steps: Float32Array.of(2 ** -7) },
    },
    { name: "conv2.weight", dtype: "float16", quantized: oihw },
    { name: "depthwise", dtype: "float32", quantized: weight([3, 3, 5, 2], 2, 3, 4) },
    { name: "transposed", dtype: "float32", quantized: weight([4, 6, 2, 2], 1, 2, 5) },
    { name: "dense", dtype: "bfloat16", quantized: weight([20, 10], 1, 2, 6), refinementBits: 2 },
    {
      name: "raw steps",
      dtype: "float32",
      quantized: { ...weight([4, 5], 0, 1, 7), steps: Float32Array.of(0.1, 0, 0.3, 0.7) },
    },
    {
      name: "pruned",
      dtype: "float32",
      quantized: { shape: [7, 3], integers: new Int32Array(21), axis: 0, steps: Float32Array.of(0) },
    },
    {
      name: "scalar",
      dtype: "float32",
      quantized: { shape: [], integers: Int32Array.of(-3), axis: 0, steps: Float32Array.of(0.5) },
    },
    {
      name: "many equal",
      dtype: "float32",
      quantized: {
        shape: [64, 100],
        integers: new Int32Array(6400).fill(1),
        axis: 0,
        steps: Float32Array.of(0.25),
      },
    },
    { name: "floats", dtype: "float32", shape: [10, 10], bytes: bytesOf(floats) },
    {
      name: "halves",
      dtype: "float16",
      shape: [50],
      bytes: bytesOf(Uint16Array.from({ length: 50 }, (_, i) => 0x3c00 + 37 * i)),
    },
    {
      name: "brains",
      dtype: "bfloat16",
      shape: [40],
      bytes: bytesOf(Uint16Array.from(floats.subarray(0, 40), (x) => Math.round(16000 + 200 * x))),
    },
    {
      name: "doubles",
      dtype: "float64",
      shape: [4],
      bytes: bytesOf(Float64Array.of(1, Math.PI, -0, Infinity)),
    },
    { name: "indices", dtype: "int64", shape: [2], bytes: bytesOf(BigInt64Array.of(-1n, 2n ** 40n)) },
    {
      name: "counts",
      dtype: "int32",
      shape: [80],
      bytes: bytesOf(Int32Array.from({ length: 80 }, (_, i) => i * i - 500)),
    },
    { name: "flags", dtype: "bool", shape: [3], bytes: Uint8Array.of(1, 0, 1) },
    { name: "words", dtype: "string", shape: [2], bytes: text("yes, no") },
    { name: "nothing", dtype: "float32", shape: [0, 3], bytes: new Uint8Array(0) },
  ];
  const topology = JSON.stringify(
    tensors.map(({ name, dtype }, i) => ({ name, config: { trainable: true, dtype, index: i } })),
  );
  return {
    tensors,
    metadata: [
      { name: "topology", bytes: text(topology) },
      { name: "leer", bytes: text("") },
    ],
  };
}

/** Integers enough for the four states of ans, some that are all equal, and some too large for its bytes. */
export function longStreams(): SourceModel {
  const twice = laplace(20_000, 0.5, 12);
  const long = Int32Array.from({ length: 40_000 }, (_, i) => twice[i >> 1]);
  const equal = new Int32Array(600).fill(-3);
  const wide = laplace(600, 200, 13);
  return {
    tensors: [
      {
        name: "long",
        dtype: "float32",
        quantized: {
          shape: [200, 200],
          integers: toRows(long, [200, 200], 1),
          axis: 1,
          steps: Float32Array.of(1),
        },
      },
      {
        name: "equal",
        dtype: "float32",
        quantized: { shape: [600], integers: equal, axis: 0, steps: Float32Array.of(1) },
      },
      {
        name: "wide",
        dtype: "float32",
        quantized: {
          shape: [30, 20],
          integers: toRows(wide, [30, 20], 1),
          axis: 1,
          steps: Float32Array.of(0.125),
        },
      },
    ],
  };
}

/** Types of every size, planes with strides and by lz, tensors that equal others, a long text. */
export function otherKinds(): SourceModel {
  const next = random(9);
  const types = dtypeNames.map((dtype, i): SourceTensor => {
    const shape = [3, 8];
    const size = tensorBytes(dtype, shape) ?? 7;
    return {
      name: `type ${dtype}`,
      dtype,
      shape,
      bytes: new Uint8Array(size).map((_, k) => (k * k) % (i + 7)),
    };
  });
  const index = BigInt64Array.from({ length: 400 }, (_, i) => BigInt(3 * i));
  const grid = Float32Array.from({ length: 600 }, (_, i) => 8 * (i & 1 ? Math.floor(i / 40) : (i >> 1) % 20));
  const values = Float32Array.from({ length: 16 }, next);
  const palette = Float32Array.from({ length: 500 }, () => values[Math.floor(16 * next() ** 3)]);
  const many = Int16Array.from({ length: 2000 }, (_, i) => 7 * ((i * i) % 397) - 900);
  const quantized = weight([4, 30], 0, 2, 20);
  const layers = Array.from({ length: 2200 }, (_, i) => ({
    name: `layer${i}`,
    units: 8 * (i % 9),
    axis: [i % 4],
  }));
  return {
    tensors: [
      ...types,
      { name: "index", dtype: "int64", shape: [400], bytes: bytesOf(index) },
      { name: "grid", dtype: "float32", shape: [300, 2], bytes: bytesOf(grid) },
      { name: "palette", dtype: "float32", shape: [500], bytes: bytesOf(palette) },
      { name: "rounded before", dtype: "float32", shape: [3, 3, 8, 16], bytes: bytesOf(roundedBefore(1152)) },
      { name: "many values", dtype: "int16", shape: [50, 40], bytes: bytesOf(many) },
      { name: "tied.0", dtype: "float32", quantized },
      { name: "tied.1", dtype: "float32", quantized },
      { name: "tied.2", dtype: "float32", quantized, refinementBits: 2 },
      { name: "tied.3", dtype: "float32", quantized, refinementBits: 2 },
      { name: "grid again", dtype: "float32", shape: [300, 2], bytes: bytesOf(grid) },
    ],
    metadata: [
      { name: "layers", bytes: text(JSON.stringify(layers)) },
      { name: "__proto__", bytes: text("no object") },
    ],
  };
}

/** Integers of every width, alone in an element or several in one, in every layout. */
export function integerKinds(): SourceModel {
  const whole: [Dtype, IntegerRows["width"]][] = [
    ["int8", 0], ["uint8", 0], ["int4", 0], ["uint4", 0], ["int2", 0], ["uint2", 0],
  ]; // biome-ignore format: a table
  const packed: [Dtype, IntegerRows["width"]][] = [
    ["uint8", 8], ["uint8", 4], ["uint8", 2], ["int32", 8], ["uint32", 4], ["int32", 2], ["uint16", 4],
  ]; // biome-ignore format: a table
  const inAxes = whole.flatMap(([dtype, width]) =>
    LAYOUTS.map(
      ([layout, shape, axis]): SourceTensor => integersOf(layout, dtype, [...shape], { axis, width }),
    ),
  );
  const inElements = packed.map(([dtype, width]) =>
    integersOf(`${width} bits`, dtype, [12, 5, 4], { axis: 0, width }),
  );
  return { tensors: [...inAxes, ...inElements] };
}

/** Two-sided integers, about as wide as a fourth of what there is room for. */
function integersOf(layout: string, dtype: Dtype, shape: number[], integers: IntegerRows): SourceTensor {
  const bits = integers.width || dtypeBits[dtype];
  const count = (tensorBytes(dtype, shape)! * 8) / bits;
  const least = integers.width === 0 && dtype.startsWith("int") ? -(2 ** (bits - 1)) : 0;
  const bytes = new Uint8Array(tensorBytes(dtype, shape)!);
  laplace(Math.floor(count), 2 ** (bits - 4), bits).forEach((value, i) => {
    if (dtypeBits[dtype] < 8 && i >= shape.reduce((a, b) => a * b, 1)) return;
    const integer = Math.max(least, Math.min(least + 2 ** bits - 1, least + 2 ** (bits - 1) + value));
    bytes[(i * bits) >> 3] |= (integer & (2 ** bits - 1)) << ((i * bits) & 7);
  });
  return { name: `${dtype} ${layout}`, dtype, shape, bytes, integers };
}

/** Weights as a converter leaves them that knows uint8 and one step; output channels, along the last axis of 16, differ in scale. */
export const roundedBefore = (count: number): Float32Array =>
  Float32Array.from(laplace(count, 11, 7), (integer, i) => Math.round(integer / 2 ** (i % 8)) * 0.01 - 1.3);

/** Shapes and the axes of their rows: all ways in which rows and kernels lie. */
const LAYOUTS: readonly [string, number[], number][] = [
  ["scalar", [], 0],
  ["vector", [7], 0],
  ["rows", [5, 6], 0],
  ["columns", [6, 5], 1],
  ["sequence", [4, 3, 5], 0],
  ["filters 1D", [3, 4, 5], 2],
  ["OIHW", [4, 2, 3, 3], 0],
  ["HWIO", [3, 3, 2, 4], 3],
  ["depthwise", [3, 3, 4, 2], 2],
  ["volume", [3, 2, 2, 2, 3], 0],
];
/** Step sizes: their number, and whether they are on the grid. */
const STEPS: readonly [string, (rows: number, next: () => number) => Float32Array][] = [
  ["a step", (_, next) => Float32Array.of(next())],
  ["a step on the grid", () => Float32Array.of(2 ** -5)],
  ["steps", (rows, next) => Float32Array.from({ length: rows }, next)],
  ["steps on the grid", (rows, next) => Float32Array.from({ length: rows }, () => nearestOnGrid(next(), 4))],
];
const PRUNED: readonly [string, (row: number) => boolean][] = [
  ["", () => false],
  [", pruned in part", (row) => row % 2 === 0],
  [", pruned", () => true],
];
const FLOATS = ["float32", "float16", "bfloat16", "float64"] as const;

/** The same of integers that are beyond a byte, before and behind refinement. */
export const everyWideCombination = (): SourceModel => everyCombination({ scale: 5000, bits: 9 });

/** Every layout with every kind of steps, pruning and refinement, each type of float in its turn. */
export function everyCombination({ scale, bits } = { scale: 3, bits: 2 }): SourceModel {
  const next = random(11);
  const tensors: SourceTensor[] = [];
  for (const [layout, shape, axis] of LAYOUTS)
    for (const [kind, stepsOf] of STEPS)
      for (const [pruned, isPruned] of PRUNED)
        for (const refinementBits of [undefined, bits]) {
          const rows = shape[axis] ?? 1;
          const steps = stepsOf(rows, next).map((step, row) => (isPruned(row) ? 0 : step));
          const size = shape.reduce((a, b) => a * b, 1);
          const integers = laplace(size, scale, tensors.length + 1).map((integer, i) =>
            steps[steps.length === 1 ? 0 : Math.floor((i * rows) / size)] === 0 ? 0 : integer,
          );
          const name = `${layout}, ${kind}${pruned}${refinementBits ? ", refined" : ""}`;
          const dtype = FLOATS[tensors.length % FLOATS.length];
          tensors.push({ name, dtype, quantized: { shape, integers, axis, steps }, refinementBits });
        }
  return { tensors };
}
