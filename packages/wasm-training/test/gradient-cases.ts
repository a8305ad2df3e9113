/** Random gradient computations; on the shared heap and on the composed fallback they must equal the cpu backend's. */
import * as tf from "@tensorflow/tfjs-core";
import { integerBetween, randomSource, randomTensor } from "./backends.js";

interface Case {
  label: string;
  compute: () => tf.Tensor[];
}

type Padding =
  | "same"
  | "valid"
  | number
  | [[number, number], [number, number], [number, number], [number, number]];

function randomPadding(
  random: () => number,
  [height, width]: [number, number],
  strides: [number, number],
): Padding {
  const kind = integerBetween(random, 0, 3);
  if (kind === 0) return "same";
  if (kind === 1) return "valid";
  // tfjs-core takes the height's filter and stride for both axes where the padding is one number.
  if (kind === 2 && height === width && strides[0] === strides[1])
    return integerBetween(random, 0, height - 1);
  const side = (filter: number): [number, number] => [
    integerBetween(random, 0, filter - 1),
    integerBetween(random, 0, filter - 1),
  ];
  return [[0, 0], side(height), side(width), [0, 0]];
}

/** Forward, input gradient and filter gradient of conv2d. */
export function convolutionCases(count: number, seed: number): Case[] {
  return Array.from({ length: count }, (_, index) => {
    const random = randomSource(seed + index);
    // Every other case is what Winograd's algorithm takes: 3 × 3, stride 1, channels in fours.
    const winograd = index % 2 === 0;
    const filterHeight = winograd ? 3 : integerBetween(random, 1, 5);
    const filterWidth = winograd ? 3 : integerBetween(random, 1, 5);
    const stride: [number, number] = winograd
      ? [1, 1]
      : [integerBetween(random, 1, 3), integerBetween(random, 1, 3)];
    const inputs = winograd ? 4 * integerBetween(random, 2, 6) : integerBetween(random, 1, 9);
    const outputs = winograd ? 4 * integerBetween(random, 2, 6) : integerBetween(random, 1, 11);
    const shape = [
      integerBetween(random, 1, 3),
      integerBetween(random, 5, 14),
      integerBetween(random, 5, 14),
      inputs,
    ];
    const padding = randomPadding(random, [filterHeight, filterWidth], stride);
    return {
      label: `x [${shape}], filter [${filterHeight}, ${filterWidth}, ${inputs}, ${outputs}], stride [${stride}], pad ${JSON.stringify(padding)}`,
      compute: () => {
        const values = randomSource(seed + index + 1e6);
        const x = randomTensor<tf.Rank.R4>(shape, values);
        const filter = randomTensor<tf.Rank.R4>([filterHeight, filterWidth, inputs, outputs], values);
        const convolve = (a: tf.Tensor, b: tf.Tensor) =>
          tf.conv2d(a as tf.Tensor4D, b as tf.Tensor4D, stride, padding as number);
        const y = convolve(x, filter);
        const dy = randomTensor(y.shape, values);
        return [y, ...tf.grads(convolve)([x, filter], dy)];
      },
    };
  });
}

/** The two gradient kernels of depthwise convolution, with dilations, which tfjs's own gradient does not reach. */
export function depthwiseCases(count: number, seed: number): Case[] {
  return Array.from({ length: count }, (_, index) => {
    const random = randomSource(seed + index);
    const filterHeight = integerBetween(random, 1, 4);
    const filterWidth = integerBetween(random, 1, 4);
    const dilated = index % 3 === 0;
    const between = (low: number, high: number): [number, number] => [
      integerBetween(random, low, high),
      integerBetween(random, low, high),
    ];
    const strides = dilated ? ([1, 1] as [number, number]) : between(1, 3);
    const dilations = dilated ? between(1, 3) : ([1, 1] as [number, number]);
    const channels = integerBetween(random, 1, 9);
    const multiplier = integerBetween(random, 1, 3);
    const shape = [
      integerBetween(random, 1, 3),
      integerBetween(random, 10, 14),
      integerBetween(random, 10, 14),
      channels,
    ];
    const pad = randomPadding(random, [filterHeight, filterWidth], strides);
    return {
      label: `x [${shape}], filter [${filterHeight}, ${filterWidth}, ${channels}, ${multiplier}], strides [${strides}], dilations [${dilations}], pad ${JSON.stringify(pad)}`,
      compute: () => {
        const values = randomSource(seed + index + 1e6);
        const x = randomTensor<tf.Rank.R4>(shape, values);
        const filterShape: [number, number, number, number] = [
          filterHeight,
          filterWidth,
          channels,
          multiplier,
        ];
        const filter = randomTensor<tf.Rank.R4>(filterShape, values);
        const info = tf.backend_util.computeConv2DInfo(
          x.shape,
          filterShape,
          strides,
          dilations,
          pad as number,
          undefined,
          true,
        );
        const dy = randomTensor<tf.Rank.R4>(info.outShape, values);
        if (tf.getBackend() === "cpu" && dilated) return dilatedReference(x, dy, filter, dilations, pad);
        const attrs = { strides, dilations, pad: pad as number };
        return [
          tf
            .engine()
            .runKernel(
              "DepthwiseConv2dNativeBackpropFilter",
              { x, dy },
              { ...attrs, filterShape },
            ) as tf.Tensor,
          tf
            .engine()
            .runKernel(
              "DepthwiseConv2dNativeBackpropInput",
              { dy, filter },
              { ...attrs, inputShape: x.shape },
            ) as tf.Tensor,
        ];
      },
    };
  });
}

/**
 * The cpu backend's own depthwise gradients ignore dilations. A dilated filter is a larger one with zeros between its
 * taps: gradients of that one, of which only the taps count.
 */
function dilatedReference(
  x: tf.Tensor4D,
  dy: tf.Tensor4D,
  filter: tf.Tensor4D,
  [byRow, byColumn]: [number, number],
  pad: Padding,
): tf.Tensor[] {
  const [height, width, channels, multiplier] = filter.shape;
  const [tall, wide] = [(height - 1) * byRow + 1, (width - 1) * byColumn + 1];
  const spread = tf.buffer([tall, wide, channels, multiplier]);
  const taps = filter.arraySync();
  for (let r = 0; r < height; r++)
    for (let s = 0; s < width; s++)
      for (let c = 0; c < channels; c++)
        for (let m = 0; m < multiplier; m++) spread.set(taps[r][s][c][m], r * byRow, s * byColumn, c, m);
  const [dx, dFilter] = tf.grads((a, b) =>
    tf.depthwiseConv2d(a as tf.Tensor4D, b as tf.Tensor4D, 1, pad as number),
  )([x, spread.toTensor()], dy);
  return [tf.stridedSlice(dFilter, [0, 0, 0, 0], dFilter.shape, [byRow, byColumn, 1, 1]), dx];
}

/** Gradients of max and average pooling; the values of half the cases are all negative. */
export function poolingCases(count: number, seed: number): Case[] {
  return Array.from({ length: count }, (_, index) => {
    const random = randomSource(seed + index);
    const filter: [number, number] = [integerBetween(random, 1, 4), integerBetween(random, 1, 4)];
    const strides: [number, number] = [integerBetween(random, 1, 3), integerBetween(random, 1, 3)];
    const shape = [
      integerBetween(random, 1, 3),
      integerBetween(random, 4, 11),
      integerBetween(random, 4, 11),
      integerBetween(random, 1, 9),
    ];
    const kind = integerBetween(random, 0, filter[0] === filter[1] && strides[0] === strides[1] ? 2 : 1);
    const pad = kind === 0 ? "same" : kind === 1 ? "valid" : filter[0] - 1;
    const negative = index % 2 === 0;
    return {
      label: `x [${shape}]${negative ? ", all negative" : ""}, filter [${filter}], strides [${strides}], pad ${pad}`,
      compute: () => {
        const values = randomSource(seed + index + 1e6);
        const x = tf.sub(randomTensor<tf.Rank.R4>(shape, values), negative ? 2 : 0) as tf.Tensor4D;
        const max = (a: tf.Tensor) => tf.maxPool(a as tf.Tensor4D, filter, strides, pad);
        const mean = (a: tf.Tensor) => tf.avgPool(a as tf.Tensor4D, filter, strides, pad);
        const dy = randomTensor(max(x).shape, values);
        return [tf.grad(max)(x, dy), tf.grad(mean)(x, dy)];
      },
    };
  });
}

/** matMul with every transposition, plain, batched and broadcast, and its gradients. */
export function matMulCases(count: number, seed: number): Case[] {
  return Array.from({ length: count }, (_, index) => {
    const random = randomSource(seed + index);
    const [transposeA, transposeB] = [index % 2 === 1, index % 4 >= 2];
    const large = index % 8 < 2;
    const size = () => integerBetween(random, 1, large ? 300 : 21);
    const [m, n, k] = [size(), size(), size()];
    const batches: Array<[number[], number[]]> = [
      [[], []],
      [[3], [3]],
      [[1], [4]],
      [
        [2, 3],
        [2, 3],
      ],
      [
        [2, 1],
        [1, 3],
      ],
    ];
    const [batchA, batchB] = large ? batches[0] : batches[index % batches.length];
    const shapeA = [...batchA, ...(transposeA ? [k, m] : [m, k])];
    const shapeB = [...batchB, ...(transposeB ? [n, k] : [k, n])];
    return {
      label: `[${shapeA}]${transposeA ? "ᵀ" : ""} · [${shapeB}]${transposeB ? "ᵀ" : ""}`,
      compute: () => {
        const values = randomSource(seed + index + 1e6);
        const a = randomTensor(shapeA, values);
        const b = randomTensor(shapeB, values);
        const product = (p: tf.Tensor, q: tf.Tensor) => tf.matMul(p, q, transposeA, transposeB);
        // The cpu backend takes wrong matrices where both operands are broadcast, and tfjs's gradient of matMul does not
        // sum over a broadcast batch: there the operands are repeated for it.
        if (String(batchA) !== String(batchB)) {
          if (tf.getBackend() !== "cpu") return [product(a, b)];
          const batch = tf.broadcast_util.assertAndGetBroadcastShape(batchA, batchB);
          return [
            product(
              tf.broadcastTo(a, [...batch, ...shapeA.slice(-2)]),
              tf.broadcastTo(b, [...batch, ...shapeB.slice(-2)]),
            ),
          ];
        }
        const y = product(a, b);
        return [y, ...tf.grads(product)([a, b], randomTensor(y.shape, values))];
      },
    };
  });
}

/** Gradients of gather, by rows and by another axis, with ids that repeat; and segment sums that drop some ids. */
export function segmentCases(count: number, seed: number): Case[] {
  return Array.from({ length: count }, (_, index) => {
    const random = randomSource(seed + index);
    const shape = [integerBetween(random, 2, 9), integerBetween(random, 2, 9), integerBetween(random, 1, 9)];
    const axis = index % 2;
    const ids = Array.from({ length: integerBetween(random, 1, 20) }, () =>
      integerBetween(random, 0, shape[axis] - 1),
    );
    return {
      label: `gather of [${shape}] along ${axis} by [${ids}]`,
      compute: () => {
        const values = randomSource(seed + index + 1e6);
        const x = randomTensor(shape, values);
        const indices = tf.tensor1d(ids, "int32");
        const gather = (a: tf.Tensor) => tf.gather(a, indices, axis);
        const dy = randomTensor(gather(x).shape, values);
        const someOutside = tf.sub(indices, tf.scalar(1, "int32")) as tf.Tensor1D;
        const rows = randomTensor([ids.length, 5], values);
        return [tf.grad(gather)(x, dy), tf.unsortedSegmentSum(rows, someOutside, shape[axis] - 1)];
      },
    };
  });
}

export function einsumCases(): Case[] {
  const equations: Array<[string, number[][]]> = [
    ["ij->ji", [[3, 4]]],
    ["ijk->ik", [[3, 4, 5]]],
    ["ij->", [[3, 4]]],
    ["i,i->", [[7], [7]]],
    ["i,j->ij", [[3], [4]]],
    [
      "bi,bi->b",
      [
        [3, 4],
        [3, 4],
      ],
    ],
    [
      "ij,jk->ik",
      [
        [3, 4],
        [4, 5],
      ],
    ],
    [
      "ij,kj->ki",
      [
        [3, 4],
        [5, 4],
      ],
    ],
    [
      "bqhd,bkhd->bhqk",
      [
        [2, 3, 4, 5],
        [2, 6, 4, 5],
      ],
    ],
    [
      "bhqk,bkhd->bqhd",
      [
        [2, 4, 3, 6],
        [2, 6, 4, 5],
      ],
    ],
    [
      "abc,cd->abd",
      [
        [2, 3, 4],
        [4, 5],
      ],
    ],
    [
      "abx,bc->ac",
      [
        [2, 3, 4],
        [3, 5],
      ],
    ],
  ];
  return equations.map(([equation, shapes], index) => ({
    label: equation,
    compute: () => {
      const values = randomSource(9000 + index);
      return [tf.einsum(equation, ...shapes.map((shape) => randomTensor(shape, values)))];
    },
  }));
}

/** What a training step is made of beside convolutions and products, each with its gradients where it has some. */
export function elementaryCases(): Case[] {
  const values = (shape: number[]) => randomTensor(shape, randomSource(77));
  const differentiated = (f: (x: tf.Tensor) => tf.Tensor, shape: number[]) => () => {
    const x = values(shape);
    const y = f(x);
    return [y, tf.grad(f)(x, randomTensor(y.shape, randomSource(78)))];
  };
  const cases: Record<string, () => tf.Tensor[]> = {
    "relu and its gradient": differentiated(tf.relu, [3, 5, 7]),
    "softmax and its gradient": differentiated((x) => tf.softmax(x), [4, 11]),
    "mean over rows and columns": differentiated((x) => tf.mean(x, [1, 2]), [2, 5, 6, 7]),
    "max and its gradient": differentiated((x) => tf.max(x, -1), [5, 9]),
    "transpose that moves something": differentiated((x) => tf.transpose(x, [0, 2, 1, 3]), [2, 3, 4, 5]),
    "transpose that moves an axis of one": differentiated((x) => tf.transpose(x, [1, 0, 2]), [1, 4, 5]),
    "tile of a channel vector": differentiated((x) => tf.tile(x, [2, 5, 3, 1]), [1, 1, 1, 7]),
    "tile along every axis": differentiated((x) => tf.tile(x, [2, 3, 2]), [2, 3, 4]),
    "tile by one": differentiated((x) => tf.tile(x, [1, 1]), [2, 3]),
    "slice along the last axis": differentiated((x) => tf.slice(x, [0, 0, 2], [-1, -1, 5]), [3, 4, 9]),
    "slice along the first axis": differentiated((x) => tf.slice(x, 1, 2), [4, 3, 3]),
    "slice along two axes": differentiated((x) => tf.slice(x, [1, 1], [2, 2]), [4, 5]),
    "slice of everything": differentiated((x) => tf.slice(x, [0, 0], [4, 5]), [4, 5]),
    "bias added to a feature map": () => {
      const [x, b] = [values([2, 3, 3, 5]), values([5])];
      return [tf.add(x, b), ...tf.grads((p, q) => tf.mul(tf.add(p, q), p))([x, b])];
    },
    "dense layer with bias": () => {
      const [x, w, b] = [values([7, 9]), values([9, 5]), values([5])];
      const dense = (p: tf.Tensor, q: tf.Tensor, r: tf.Tensor) =>
        tf.fused.matMul({ a: p as tf.Tensor2D, b: q as tf.Tensor2D, bias: r });
      return [dense(x, w, b), ...tf.grads(dense)([x, w, b])];
    },
    "dense layer with bias and ReLU": () => [
      tf.fused.matMul({ a: values([7, 9]), b: values([9, 5]), bias: values([5]), activation: "relu" }),
    ],
    "cast to the same type and to others": () => [
      tf.cast(values([5]), "float32"),
      tf.cast(tf.mul(values([5]), 9), "int32"),
      tf.cast(tf.tensor1d([1, 0, 1], "bool"), "float32"),
    ],
    "gather of integers": () => [tf.gather(tf.tensor1d([5, 6, 7], "int32"), tf.tensor1d([2, 0], "int32"))],
    "softmax cross entropy": () => {
      const labels = tf.oneHot(tf.tensor1d([0, 2, 1], "int32"), 4);
      const loss = (x: tf.Tensor) => tf.losses.softmaxCrossEntropy(labels, x as tf.Tensor2D) as tf.Tensor;
      return [loss(values([3, 4])), tf.grad(loss)(values([3, 4]))];
    },
  };
  for (const axes of [0, 1, 2, [0, 1], [1, 2], [0, 2], [0, 1, 2], undefined]) {
    cases[`sum and mean over the axes ${axes}`] = () => {
      const x = values([3, 70, 6]);
      return [tf.sum(x, axes), tf.sum(x, axes, true), tf.mean(x, axes), tf.mean(x, axes, true)];
    };
  }
  return Object.entries(cases).map(([label, compute]) => ({ label, compute }));
}

/** One gradient of each kind that tfjs registers: none may miss a kernel. Arguments lie between 0.1 and 0.9. */
export function registeredGradientCases(): Case[] {
  const values = (shape: number[], seed = 77) =>
    tf.tidy(() => tf.add(tf.mul(randomTensor(shape, randomSource(seed)), 0.4), 0.5));
  const unary: Record<string, (x: tf.Tensor) => tf.Tensor> = {};
  const names = [
    ...[
      "abs",
      "acos",
      "asin",
      "asinh",
      "atan",
      "atanh",
      "ceil",
      "cos",
      "cosh",
      "elu",
      "erf",
      "exp",
      "expm1",
      "floor",
    ],
    ...[
      "leakyRelu",
      "log",
      "log1p",
      "logSigmoid",
      "neg",
      "reciprocal",
      "relu",
      "relu6",
      "round",
      "rsqrt",
      "selu",
    ],
    ...[
      "sigmoid",
      "sign",
      "sin",
      "sinh",
      "softplus",
      "sqrt",
      "square",
      "step",
      "tan",
      "tanh",
      "logSoftmax",
      "softmax",
    ],
  ];
  for (const name of names)
    unary[name] = (tf as unknown as Record<string, (x: tf.Tensor) => tf.Tensor>)[name];
  const other = (seed: number, shape = [3, 4]) => values(shape, seed);
  Object.assign(unary, {
    acosh: (x: tf.Tensor) => tf.acosh(tf.add(x, 1)),
    add: (x: tf.Tensor) => tf.add(x, tf.sum(x, 0)),
    addN: (x: tf.Tensor) => tf.addN([x, x, tf.square(x)]),
    atan2: (x: tf.Tensor) => tf.atan2(x, other(1)),
    broadcastTo: (x: tf.Tensor) => tf.broadcastTo(tf.reshape(x, [3, 1, 4]), [3, 5, 4]),
    clip: (x: tf.Tensor) => tf.clipByValue(x, 0.3, 0.6),
    concat: (x: tf.Tensor) => tf.concat([x, tf.square(x)], 1),
    cumsum: (x: tf.Tensor) => tf.cumsum(x, 1),
    div: (x: tf.Tensor) => tf.div(other(1), x),
    floorDiv: (x: tf.Tensor) => tf.mul(x, tf.floorDiv(x, other(1))),
    gather: (x: tf.Tensor) => tf.gather(x, tf.tensor1d([2, 2, 0], "int32")),
    maximum: (x: tf.Tensor) => tf.maximum(x, other(1)),
    min: (x: tf.Tensor) => tf.min(x, 1),
    minimum: (x: tf.Tensor) => tf.minimum(x, other(1)),
    mirrorPad: (x: tf.Tensor) => tf.mirrorPad(x, [[1, 1], [2, 0]], "reflect"), // biome-ignore format: two paddings
    mod: (x: tf.Tensor) => tf.mod(x, other(1)),
    moments: (x: tf.Tensor) => tf.moments(x, 1).variance,
    norm: (x: tf.Tensor) => tf.norm(x),
    pad: (x: tf.Tensor) => tf.pad(x, [[1, 0], [0, 2]]), // biome-ignore format: two paddings
    pow: (x: tf.Tensor) => tf.pow(x, other(1)),
    prelu: (x: tf.Tensor) => tf.prelu(tf.sub(x, 0.5), other(1)),
    reverse: (x: tf.Tensor) => tf.reverse(x, 1),
    split: (x: tf.Tensor) => tf.mul(...(tf.split(x, 2, 1) as [tf.Tensor, tf.Tensor])),
    squaredDifference: (x: tf.Tensor) => tf.squaredDifference(x, other(1)),
    stack: (x: tf.Tensor) => tf.stack([x, tf.square(x)], 1),
    tile: (x: tf.Tensor) => tf.tile(x, [2, 3]),
    unstack: (x: tf.Tensor) => tf.mul(...(tf.unstack(tf.slice(x, 0, 2)) as [tf.Tensor, tf.Tensor])),
    where: (x: tf.Tensor) => tf.where(tf.greater(other(1), 0.5), x, tf.square(x)),
  });
  const image: Record<string, (x: tf.Tensor) => tf.Tensor> = {
    batchNorm: (x) =>
      tf.batchNorm(
        x as tf.Tensor4D,
        other(1, [4]) as tf.Tensor1D,
        other(2, [4]) as tf.Tensor1D,
        other(3, [4]) as tf.Tensor1D,
        other(4, [4]) as tf.Tensor1D,
      ),
    conv2dTranspose: (x) =>
      tf.conv2dTranspose(x as tf.Tensor4D, other(1, [3, 3, 5, 4]) as tf.Tensor4D, [2, 12, 12, 5], 2, "same"),
    depthwise: (x) => tf.depthwiseConv2d(x as tf.Tensor4D, other(1, [3, 3, 4, 2]) as tf.Tensor4D, 2, "same"),
    globalAverage: (x) => tf.mean(x, [1, 2]),
    localResponse: (x) => tf.localResponseNormalization(x as tf.Tensor4D, 2),
    resizeBilinear: (x) => tf.image.resizeBilinear(x as tf.Tensor4D, [9, 4]),
    resizeNearest: (x) => tf.image.resizeNearestNeighbor(x as tf.Tensor4D, [12, 3]),
    separable: (x) =>
      tf.separableConv2d(
        x as tf.Tensor4D,
        other(1, [3, 3, 4, 2]) as tf.Tensor4D,
        other(2, [1, 1, 8, 5]) as tf.Tensor4D,
        1,
        "same",
      ),
    spaceToBatch: (x) => tf.spaceToBatchND(x, [2, 2], [[0, 0], [0, 0]]), // biome-ignore format: two paddings
  };
  const differentiate =
    (shape: number[]) =>
    ([label, f]: [string, (x: tf.Tensor) => tf.Tensor]) => ({
      label,
      compute: () => {
        const x = values(shape);
        const y = f(x);
        return [y, tf.grad(f)(x, values(y.shape, 5))];
      },
    });
  return [
    ...Object.entries(unary).map(differentiate([3, 4])),
    ...Object.entries(image).map(differentiate([2, 6, 6, 4])),
  ];
}
