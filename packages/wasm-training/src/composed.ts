/**
 * The missing gradients, composed from kernels that tfjs-backend-wasm ships: what runs where the backend's heap
 * cannot be reached. Each one walks the filter's offsets; the input is padded once and every offset is one strided
 * window of it, e.g. a 3×3 filter is nine windows of shape [batch, outHeight, outWidth, channels].
 */
import type { Tensor, Tensor1D, Tensor4D } from "@tensorflow/tfjs-core";
import * as tf from "@tensorflow/tfjs-core";

type Conv2DInfo = ReturnType<typeof tf.backend_util.computeConv2DInfo>;

/** Zeros (or `value`) around the image so that every window of the filter lies inside. */
function padImage(x: Tensor4D, info: Conv2DInfo, value = 0): Tensor4D {
  const { padInfo, outHeight, outWidth, strideHeight, strideWidth } = info;
  const height = (outHeight - 1) * strideHeight + info.effectiveFilterHeight;
  const width = (outWidth - 1) * strideWidth + info.effectiveFilterWidth;
  const bottom = Math.max(0, height - padInfo.top - x.shape[1]);
  const right = Math.max(0, width - padInfo.left - x.shape[2]);
  return tf.pad(
    x,
    [
      [0, 0],
      [padInfo.top, bottom],
      [padInfo.left, right],
      [0, 0],
    ],
    value,
  );
}

/** What the filter's tap (row, column) sees: [batch, outHeight, outWidth, channels]. */
function windowAt(padded: Tensor4D, info: Conv2DInfo, row: number, column: number): Tensor4D {
  const top = row * info.dilationHeight;
  const left = column * info.dilationWidth;
  return tf.stridedSlice(
    padded,
    [0, top, left, 0],
    [
      padded.shape[0],
      top + (info.outHeight - 1) * info.strideHeight + 1,
      left + (info.outWidth - 1) * info.strideWidth + 1,
      padded.shape[3],
    ],
    [1, info.strideHeight, info.strideWidth, 1],
  ) as Tensor4D;
}

/** The adjoint of `windowAt`, back to the unpadded image. */
function scatterWindow(values: Tensor4D, info: Conv2DInfo, row: number, column: number): Tensor4D {
  const [batch, height, width, channels] = values.shape;
  const { strideHeight, strideWidth, padInfo, inHeight, inWidth } = info;
  // Zeros between the rows, then between the columns.
  const rows = tf.pad(tf.reshape(values, [batch * height, 1, width * channels]), [
    [0, 0],
    [0, strideHeight - 1],
    [0, 0],
  ]);
  const columns = tf.pad(tf.reshape(rows, [batch * height * strideHeight * width, 1, channels]), [
    [0, 0],
    [0, strideWidth - 1],
    [0, 0],
  ]);
  const spread: Tensor4D = tf.reshape(columns, [batch, height * strideHeight, width * strideWidth, channels]);
  return place(
    place(spread, 1, row * info.dilationHeight - padInfo.top, inHeight),
    2,
    column * info.dilationWidth - padInfo.left,
    inWidth,
  );
}

/** Shifts along an axis by `offset` (negative: cut) and cuts or pads the axis to `size`. */
function place(x: Tensor4D, axis: number, offset: number, size: number): Tensor4D {
  const begin = [0, 0, 0, 0];
  const length = x.shape.slice();
  begin[axis] = Math.min(Math.max(0, -offset), x.shape[axis]);
  const before = Math.min(Math.max(0, offset), size);
  length[axis] = Math.max(0, Math.min(x.shape[axis] - begin[axis], size - before));
  const paddings: Array<[number, number]> = [
    [0, 0],
    [0, 0],
    [0, 0],
    [0, 0],
  ];
  if (length[axis] === 0) {
    length[axis] = size;
    return tf.zeros(length as [number, number, number, number]);
  }
  paddings[axis] = [before, size - before - length[axis]];
  return tf.pad(
    tf.slice(x, begin as [number, number, number, number], length as [number, number, number, number]),
    paddings,
  );
}

/** d loss / d filter [height, width, in, out]: for each tap, window'ᵀ · dy. */
export function composedConv2DBackpropFilter(x: Tensor4D, dy: Tensor4D, info: Conv2DInfo): Tensor {
  return tf.tidy(() => {
    const padded = padImage(x, info);
    const rows = tf.reshape(dy, [-1, info.outChannels]);
    const taps: Tensor[] = [];
    for (let row = 0; row < info.filterHeight; row++) {
      for (let column = 0; column < info.filterWidth; column++) {
        const window = tf.reshape(windowAt(padded, info, row, column), [-1, info.inChannels]);
        taps.push(tf.matMul(tf.transpose(window), rows));
      }
    }
    return tf.reshape(tf.stack(taps), info.filterShape);
  });
}

/** d loss / d filter [height, width, channels, multiplier] of a depthwise convolution. */
export function composedDepthwiseBackpropFilter(x: Tensor4D, dy: Tensor4D, info: Conv2DInfo): Tensor {
  return tf.tidy(() => {
    const padded = padImage(x, info);
    const multiplier = info.outChannels / info.inChannels;
    const gradient = tf.reshape(dy, [-1, info.inChannels, multiplier]);
    const taps: Tensor[] = [];
    for (let row = 0; row < info.filterHeight; row++) {
      for (let column = 0; column < info.filterWidth; column++) {
        const window = tf.reshape(windowAt(padded, info, row, column), [-1, info.inChannels, 1]);
        taps.push(tf.sum(tf.mul(window, gradient), 0));
      }
    }
    return tf.reshape(tf.stack(taps), [info.filterHeight, info.filterWidth, info.inChannels, multiplier]);
  });
}

/** d loss / d x of a depthwise convolution. */
export function composedDepthwiseBackpropInput(dy: Tensor4D, filter: Tensor4D, info: Conv2DInfo): Tensor {
  return tf.tidy(() => {
    const multiplier = info.outChannels / info.inChannels;
    const gradient = tf.reshape(dy, [-1, info.inChannels, multiplier]);
    let sum: Tensor4D = tf.zeros(info.inShape);
    for (let row = 0; row < info.filterHeight; row++) {
      for (let column = 0; column < info.filterWidth; column++) {
        const tap = tf.reshape(tf.slice(filter, [row, column, 0, 0], [1, 1, -1, -1]), [
          info.inChannels,
          multiplier,
        ]);
        const window: Tensor4D = tf.reshape(tf.sum(tf.mul(gradient, tap), 2), [
          info.batchSize,
          info.outHeight,
          info.outWidth,
          info.inChannels,
        ]);
        sum = tf.add(sum, scatterWindow(window, info, row, column));
      }
    }
    return sum;
  });
}

/** d loss / d x of max pooling: each dy goes to the first position of its window that holds the maximum. */
export function composedMaxPoolGrad(dy: Tensor4D, x: Tensor4D, y: Tensor4D, info: Conv2DInfo): Tensor {
  return tf.tidy(() => {
    const padded = padImage(x, info, Number.NEGATIVE_INFINITY);
    let remaining: Tensor4D = dy;
    let sum: Tensor4D = tf.zeros(info.inShape);
    for (let row = 0; row < info.filterHeight; row++) {
      for (let column = 0; column < info.filterWidth; column++) {
        const here = tf.cast(tf.equal(windowAt(padded, info, row, column), y), "float32");
        const share: Tensor4D = tf.mul(remaining, here);
        sum = tf.add(sum, scatterWindow(share, info, row, column));
        remaining = tf.sub(remaining, share);
      }
    }
    return sum;
  });
}

/** Sum of the rows of x that share a segment id; ids outside [0, numSegments) are dropped. */
export function composedUnsortedSegmentSum(x: Tensor, segmentIds: Tensor1D, numSegments: number): Tensor {
  return tf.tidy(() => {
    const rowSize = x.size / Math.max(1, segmentIds.size);
    // Rows without a segment are collected in one more segment, which is cut off.
    const inside = tf.logicalAnd(tf.greaterEqual(segmentIds, 0), tf.less(segmentIds, numSegments));
    const ids = tf.where(
      inside,
      tf.cast(segmentIds, "int32"),
      tf.fill(segmentIds.shape, numSegments, "int32"),
    );
    const rows = tf.reshape(x, [segmentIds.size, rowSize]);
    const sums = tf.scatterND(tf.reshape(ids, [-1, 1]), rows, [numSegments + 1, rowSize]);
    return tf.reshape(tf.slice(sums, [0, 0], [numSegments, rowSize]), [
      numSegments,
      ...x.shape.slice(segmentIds.rank),
    ]);
  });
}
