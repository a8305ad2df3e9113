/**
 * Where the inputs of one output lie: for each position of a layer's output the elements of the input tensor that it is a weighted sum of.
 *
 *     const { count, read } = window([1, 3, 224, 224]);   // 12,544 positions of a convolution with stride 2
 *     read(7, 0, x, patch, 0);                             // the 27 numbers under the kernel at position 7, zeros outside
 */
import { rowsOf } from "../../file/rows.js";
import { intOf, intsOf, type OnnxNode, textOf } from "./graph.js";

export interface Positions {
  /** Outputs of one row: batch times height times width. */
  count: number;
  /** Writes a group's inputs at a position to `patch` from `at` on, in the order of a row's columns. */
  read(position: number, group: number, x: Float32Array, patch: Float32Array, at: number): void;
  /** Where the output of row 0 lies in the output tensor, and how far apart those of two rows are. */
  output(position: number): number;
  rowStride: number;
}

export type Window = (inputShape: readonly number[]) => Positions;

/**
 * A matrix product: a position for each row of its input, or for each column.
 *
 * @param rows those of the weights: the extent of its output
 */
export function matrixWindow(inputs: "rows" | "columns", outputs: "rows" | "columns", rows: number): Window {
  return (shape) => {
    const [height, width] = [shape.length > 1 ? shape.at(-2)! : 1, shape.at(-1)!];
    const [columns, across] = inputs === "rows" ? [width, height] : [height, width];
    const startOf = (side: "rows" | "columns", extent: number, position: number) =>
      side === "rows"
        ? position * extent
        : Math.floor(position / across) * extent * across + (position % across);
    const stride = inputs === "rows" ? 1 : across;
    return {
      count: shape.reduce((a, b) => a * b, 1) / columns,
      read(position, _group, x, patch, at) {
        let from = startOf(inputs, columns, position);
        for (let c = 0; c < columns; c++, from += stride) patch[at + c] = x[from];
      },
      output: (position) => startOf(outputs, rows, position),
      rowStride: outputs === "rows" ? 1 : across,
    };
  };
}

/** Along one axis of a convolution. */
interface Axis {
  extent: number;
  /** Input coordinate of each output coordinate and kernel coordinate, -1 outside. */
  places: Int32Array;
}

/**
 * A convolution, or a transposed one: there the input of an output is under those kernel positions that its phase meets.
 *
 * @param axis of the weights' shape: that of the rows
 * @returns undefined where an attribute is not known here
 */
export function convolutionWindow(
  node: OnnxNode,
  shape: readonly number[],
  axis: number,
): Window | undefined {
  const kernel = shape.slice(2);
  const area = kernel.reduce((a, b) => a * b, 1);
  const groups = intOf(node, "group", 1);
  const isTransposed = node.opType === "ConvTranspose";
  const automatic = textOf(node, "auto_pad") || "NOTSET";
  const isKnown = !isTransposed || (intsOf(node, "output_shape") === undefined && !/^SAME/.test(automatic));
  if (!isKnown || kernel.length === 0) return undefined;
  const rows = isTransposed ? shape[1] * groups : shape[0];
  const perGroup = isTransposed ? shape[0] / groups : shape[1];
  const { channelOf, tapOf } = columnsOf(shape, axis, area, isTransposed);
  const taps = new Int32Array(area);
  return (inputShape) => {
    const spatial = inputShape.slice(2);
    const size = spatial.reduce((a, b) => a * b, 1);
    const axes = spatial.map((extent, i) =>
      (isTransposed ? transposedAxis : plainAxis)(node, i, extent, kernel),
    );
    const outputs = axes.reduce((product, { extent }) => product * extent, 1);
    return {
      count: inputShape[0] * outputs,
      read(position, group, x, patch, at) {
        findTaps(axes, spatial, kernel, position % outputs, taps);
        const image = Math.floor(position / outputs);
        const from = (image * inputShape[1] + group * perGroup) * size;
        for (let c = 0; c < channelOf.length; c++) {
          const tap = taps[tapOf[c]];
          patch[at + c] = tap < 0 ? 0 : x[from + channelOf[c] * size + tap];
        }
      },
      output: (position) => Math.floor(position / outputs) * rows * outputs + (position % outputs),
      rowStride: outputs,
    };
  };
}

/** Input channel and kernel position of each column, in the order in which rows are kept. */
function columnsOf(shape: readonly number[], axis: number, area: number, isTransposed: boolean) {
  const { extents, strides } = rowsOf(shape, axis);
  const [, middle, inner] = extents;
  const channelOf = new Int32Array(middle * inner);
  const tapOf = new Int32Array(middle * inner);
  for (let c = 0; c < channelOf.length; c++) {
    const at = Math.floor(c / inner) * strides[1] + (c % inner) * strides[2];
    tapOf[c] = at % area;
    // OI of a convolution, IO of a transposed one.
    const channel = isTransposed ? Math.floor(at / (area * shape[1])) : Math.floor(at / area) % shape[1];
    channelOf[c] = axis === 0 && isTransposed ? 0 : channel;
  }
  return { channelOf, tapOf };
}

/** Elements of one channel of the input under the kernel, -1 outside. */
function findTaps(
  axes: readonly Axis[],
  spatial: readonly number[],
  kernel: readonly number[],
  output: number,
  taps: Int32Array,
): void {
  taps.fill(0);
  let [left, repeat, stride] = [output, 1, 1];
  for (let i = axes.length - 1; i >= 0; i--) {
    const { extent, places } = axes[i];
    const first = (left % extent) * kernel[i];
    left = Math.floor(left / extent);
    for (let t = 0; t < taps.length; t++) {
      const place = places[first + (Math.floor(t / repeat) % kernel[i])];
      taps[t] = place < 0 || taps[t] < 0 ? -1 : taps[t] + place * stride;
    }
    repeat *= kernel[i];
    stride *= spatial[i];
  }
}

function plainAxis(node: OnnxNode, i: number, extent: number, kernel: readonly number[]): Axis {
  const { stride, dilation, pads, reach } = axisOf(node, i, kernel);
  const automatic = textOf(node, "auto_pad") || "NOTSET";
  let [before, outputs] = [0, Math.floor((extent - reach) / stride) + 1];
  if (automatic === "NOTSET") {
    before = pads[i];
    outputs = Math.floor((extent + pads[i] + pads[i + kernel.length] - reach) / stride) + 1;
  } else if (automatic !== "VALID") {
    outputs = Math.ceil(extent / stride);
    const total = Math.max(0, (outputs - 1) * stride + reach - extent);
    before = automatic === "SAME_LOWER" ? total - (total >> 1) : total >> 1;
  }
  return placesOf(outputs, kernel[i], (o, k) => {
    const place = o * stride - before + k * dilation;
    return place < extent ? place : -1;
  });
}

function transposedAxis(node: OnnxNode, i: number, extent: number, kernel: readonly number[]): Axis {
  const { stride, dilation, pads, reach } = axisOf(node, i, kernel);
  const more = intsOf(node, "output_padding")?.[i] ?? 0;
  const outputs = stride * (extent - 1) + more + reach - pads[i] - pads[i + kernel.length];
  return placesOf(outputs, kernel[i], (o, k) => {
    const place = o + pads[i] - k * dilation;
    return place % stride === 0 && place / stride < extent ? place / stride : -1;
  });
}

function axisOf(node: OnnxNode, i: number, kernel: readonly number[]) {
  const dilation = intsOf(node, "dilations")?.[i] ?? 1;
  return {
    stride: intsOf(node, "strides")?.[i] ?? 1,
    dilation,
    pads: intsOf(node, "pads") ?? new Array<number>(2 * kernel.length).fill(0),
    reach: dilation * (kernel[i] - 1) + 1,
  };
}

function placesOf(outputs: number, kernel: number, place: (output: number, tap: number) => number): Axis {
  const places = new Int32Array(outputs * kernel);
  for (let o = 0, i = 0; o < outputs; o++)
    for (let k = 0; k < kernel; k++, i++) places[i] = Math.max(-1, place(o, k));
  return { extent: outputs, places };
}
