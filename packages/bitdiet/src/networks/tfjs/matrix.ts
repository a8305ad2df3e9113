/**
 * Operations of TF.js that are a matrix for each patch of their input: how each runs with a given kernel, and where in the input the
 * numbers lie that an output is computed from. Kernels are rows x columns, as in network.ts; TF.js wants them in its own layouts.
 *
 *     convolution([3, 3, 16, 32], { strides: [1, 1], pad: "same" }); // 32 rows, 144 columns
 */
import * as tf from "@tensorflow/tfjs-core";

export interface Matrix {
  /** Shape of the kernel in the model, and its axis of output channels. */
  shape: number[];
  axis: number;
  rows: number;
  columns: number;
  kernel: readonly [number, number];
  groups: number;
  /** The outputs without biases. @param filter of `shape` */
  run(x: tf.Tensor, filter: tf.Tensor): tf.Tensor;
  /**
   * Where along an axis of the input (0 height, 1 width) weight k of output o is applied; outside of the input, or no whole number,
   * where it meets padding.
   *
   * @param extents of the input and of the output along this axis
   */
  source(axis: 0 | 1, o: number, k: number, extents: readonly [number, number]): number;
}

type Pair = [number, number];
/** What TF.js pads: by itself, or before and after each axis. */
export type Pad = "same" | "valid" | [Pair, Pair];

export interface WindowOptions {
  strides: Pair;
  pad: Pad;
  dilations?: Pair;
}

/** @param shape inputs, outputs; or outputs, inputs if transposed */
export function dense(shape: number[], { isTransposed = false } = {}): Matrix {
  const [columns, rows] = isTransposed ? [shape[1], shape[0]] : shape;
  return {
    shape,
    axis: isTransposed ? 0 : 1,
    rows,
    columns,
    kernel: [1, 1],
    groups: 1,
    run: (x, filter) => {
      const flat = tf.reshape(x, [-1, columns]) as tf.Tensor2D;
      const product = tf.matMul(flat, filter as tf.Tensor2D, false, isTransposed);
      return tf.reshape(product, [...x.shape.slice(0, -1), rows]);
    },
    source: (_axis, o) => o,
  };
}

/** @param shape height, width, inputs, outputs; or width, inputs, outputs of one dimension */
export function convolution(shape: number[], options: WindowOptions): Matrix {
  const [height, width, inputs, rows] = asImageKernel(shape);
  return {
    ...windowed([height, width], options),
    shape,
    axis: shape.length - 1,
    rows,
    columns: inputs * height * width,
    groups: 1,
    run: (x, filter) => {
      const y = tf.conv2d(asImages(x), stuffed(filter, options), options.strides, paddingOf(options.pad));
      return x.rank === 4 ? y : tf.squeeze(y, [1]);
    },
  };
}

/** One kernel for each channel. @param shape height, width, channels, 1 */
export function depthwise(shape: number[], options: WindowOptions): Matrix {
  const [height, width, channels] = shape;
  return {
    ...windowed([height, width], options),
    shape,
    axis: 2,
    rows: channels,
    columns: height * width,
    groups: channels,
    run: (x, filter) =>
      tf.depthwiseConv2d(
        x as tf.Tensor4D,
        stuffed(filter, options),
        options.strides,
        paddingOf(options.pad) as "same",
      ),
  };
}

/** @param shape height, width, outputs, inputs */
export function transposedConvolution(shape: number[], { strides, pad }: WindowOptions): Matrix {
  const [height, width, rows, inputs] = shape;
  const extentOf = (axis: 0 | 1, extent: number) =>
    extent * strides[axis] + (pad === "valid" ? Math.max(shape[axis] - strides[axis], 0) : 0);
  return {
    shape,
    axis: 2,
    rows,
    columns: inputs * height * width,
    kernel: [height, width],
    groups: 1,
    run: (x, filter) => {
      const [count, h, w] = x.shape;
      const outputShape: [number, number, number, number] = [count, extentOf(0, h), extentOf(1, w), rows];
      return tf.conv2dTranspose(
        x as tf.Tensor4D,
        filter as tf.Tensor4D,
        outputShape,
        strides,
        pad as "same" | "valid",
      );
    },
    // The convolution whose input this one's output is, read backwards.
    source: (axis, o, k, [extent, out]) => {
      const before = pad === "valid" ? 0 : Math.max(0, (extent - 1) * strides[axis] + shape[axis] - out) >> 1;
      return (o + before - k) / strides[axis];
    },
  };
}

function windowed(kernel: Pair, { strides, pad, dilations = [1, 1] }: WindowOptions) {
  const source: Matrix["source"] = (axis, o, k, [extent, out]) => {
    const reach = (kernel[axis] - 1) * dilations[axis] + 1;
    const same = Math.max(0, (out - 1) * strides[axis] + reach - extent) >> 1;
    const before = pad === "same" ? same : pad === "valid" ? 0 : pad[axis][0];
    return o * strides[axis] - before + k * dilations[axis];
  };
  return { kernel, source };
}

function asImageKernel(shape: number[]): number[] {
  return shape.length === 4 ? shape : [1, ...shape];
}

/** Rows of pixels as pictures one pixel high, other ranks as rows of pixels: channels stay last. */
export function asImages(x: tf.Tensor): tf.Tensor4D {
  if (x.rank === 4) return x as tf.Tensor4D;
  return tf.reshape(x, [x.shape[0], 1, -1, x.shape.at(-1)!]);
}

function paddingOf(pad: Pad): "same" | "valid" | [Pair, Pair, Pair, Pair] {
  return typeof pad === "string" ? pad : [[0, 0], ...pad, [0, 0]];
}

/** A kernel with zeros between its weights: TF.js has no gradients of dilated convolutions. */
function stuffed(filter: tf.Tensor, { dilations = [1, 1] }: WindowOptions): tf.Tensor4D {
  const [height, width, inputs, outputs] = asImageKernel(filter.shape);
  const kernel = tf.reshape(filter, [height, width, inputs, outputs]) as tf.Tensor4D;
  const [down, right] = dilations;
  if (down === 1 && right === 1) return kernel;
  const apart = tf.pad(tf.reshape(kernel, [height, 1, width, 1, inputs * outputs]), [
    [0, 0],
    [0, down - 1],
    [0, 0],
    [0, right - 1],
    [0, 0],
  ]);
  const wide = tf.reshape(apart, [height * down, width * right, inputs, outputs]);
  const reach = [(height - 1) * down + 1, (width - 1) * right + 1];
  return tf.slice(wide, [0, 0, 0, 0], [...reach, inputs, outputs]) as tf.Tensor4D;
}
