// A network whose feature maps are transformed, quantized with one step a layer, entropy-coded, read back, turned back, and only
// then rectified; for any transform and either kind of table. Forward transforms are folded into convolutions and biases.
// Example: two channels that move together are one large component and one of next to no bits.
import { forward, type Transform } from "@bitdiet/dct-transform";
import { cifarResnet } from "@bitdiet/zoo/nets/resnet";
import { alike, byChannel, type CodedMaps, learnMapCoder } from "@bitdiet/zoo/shipping/feature-maps";
import { layerMicrojoules } from "@bitdiet/zoo/shipping/map-energy";
import { mapCosts } from "@bitdiet/zoo/shipping/measured";
import * as tf from "@tensorflow/tfjs-core";
import { partlyCodedAccuracy } from "../judge.js";
import type { Measured } from "../recipe.js";
import { calibrationImages, type Testbed } from "../testbed.js";
import { eightBitWeights } from "./eight-bit-weights.js";
import * as rotated from "./rotated-maps.js";

export interface TransformCoding {
  /** For the range that all components of a layer have together: their step is that range over 2^bits - 1. */
  bits: number;
  /** The transform of a layer. */
  transformOf: (maps: rotated.Preactivations) => Transform;
  /** Bits of an entry of the basis as it is stored; 32 unless given. */
  basisBits?: number;
  /** Maps are written after the ReLU, as without transform one would: what is negative is clipped to the lowest level, 0. */
  rectified?: boolean;
  /** Tables by the magnitudes of neighbours instead of by component, which is not in the paper. */
  byNeighbours?: boolean;
}

const CALIBRATION_IMAGES = 256;

/** Codes the maps of all test images, and evaluates the network on what was decoded. Weights have 8 bits. */
export async function transformCodedMaps(testbed: Testbed, coding: TransformCoding): Promise<Measured> {
  const calibration = calibrationImages(testbed, CALIBRATION_IMAGES);
  const layers = Object.entries(rotated.preactivations(testbed.start, calibration)).map(([name, seen]) => {
    const maps = coding.rectified
      ? { ...seen, values: seen.values.map((value) => Math.max(0, value)) }
      : seen;
    const transform = coding.transformOf(maps);
    const coefficients = forward(transform, maps.values);
    const grid = rotated.mapGrid(transform, coefficients, coding.bits);
    const training = rotated.symbolsOf(grid, coefficients);
    const alphabetSize = rotated.alphabetSize(grid);
    const zero = -rotated.lowestLevel(grid);
    const contexts = coding.byNeighbours
      ? alike(training, { ...maps, channels: transform.rows }, zero)
      : byChannel(transform.rows);
    const coder = learnMapCoder(name, training, contexts, alphabetSize);
    return { name, grid, coder, channels: maps.channels };
  });
  calibration.dispose();
  const byName = Object.fromEntries(layers.map((layer) => [layer.name, layer]));
  const folded = rotated.foldTransforms(
    testbed.start,
    layers.map(({ name, grid }) => [name, grid.transform]),
  );
  const parameters = eightBitWeights(folded);
  const right = partlyCodedAccuracy(testbed, (x, isCoded) =>
    cifarResnet(parameters, x, {
      preactivation: (convolved, name, shortcut) => {
        const { grid, coder } = byName[name];
        const coefficients = rotated.coefficientsOf(grid.transform, convolved, shortcut);
        const symbols = rotated.symbolsOf(grid, coefficients.dataSync<"float32">());
        const read = isCoded ? coder.pass(symbols) : symbols;
        return rotated.valuesOf(grid, read, convolved.shape);
      },
    }),
  );
  tf.dispose([folded, parameters]);

  const maps = layers.map(({ grid: { transform }, coder, channels }) =>
    perValue(coder.total(), {
      kept: transform.rows / channels,
      bits: coding.bits,
      sideBytes: rotated.storageBytes(transform, coding.basisBits),
    }),
  );
  return { accuracy: right, activations: mapCosts(maps), notes: notesOf(maps, testbed) };
}

function notesOf(maps: CodedMaps[], { test, codedImages }: Testbed): Measured["notes"] {
  const bytes = maps.reduce((total, { codedBytes }) => total + codedBytes, 0);
  const bits = (8 * bytes) / Math.min(codedImages, test.labels.length);
  return { "µJ an image": Number(layerMicrojoules(bits, bits).toFixed(1)) };
}

/**
 * The same cost, in terms of the values that coefficients stand for.
 *
 * @param kept coefficients a value, below 1 where a transform is truncated
 * @param bits fixed width of a coefficient, @param sideBytes what the decoder needs besides, the basis for instance
 */
function perValue(
  map: CodedMaps,
  { kept, bits, sideBytes }: { kept: number; bits: number; sideBytes: number },
): CodedMaps {
  return {
    ...map,
    values: map.values / kept,
    fixedWidth: bits * kept,
    entropy: map.entropy * kept,
    huffmanBytes: map.huffmanBytes + sideBytes,
    ansBytes: map.ansBytes + sideBytes,
    codedBytes: map.codedBytes + sideBytes,
  };
}
