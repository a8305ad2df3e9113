/**
 * What transform, uniform quantizer and coder reach together, beside the least any code could: Gauss-Markov rows, whose
 * R(D) is known, with no transform, the DCT and the KLT; the step is swept, rates are bytes written.
 *
 * Theory at high rate: 0.254 bit above R(D) for a uniform quantizer with ideal coding, and a transform saves
 * log2(coding gain) / 2 bits: 1.05 for correlation 0.9 and rows of 8.
 */
import { compress, decompress } from "@bitdiet/ans";
import {
  codingGain,
  dctTransform,
  forward,
  identityTransform,
  inverse,
  pcaTransform,
  symmetricEigen,
  type Transform,
} from "@bitdiet/dct-transform";
import { bdRate, type RatePoint } from "@bitdiet/zoo/report/bd-rate";
import { markdownTable } from "./report.js";
import { gaussianRate, gaussMarkovCovariance, gaussMarkovRows } from "./sources.js";

/** One setting of a codec: what it costs and what it loses. */
export interface Measured {
  /** Bits a value, of the bytes written. */
  rate: number;
  /** Mean squared error a value. */
  distortion: number;
}

/**
 * The operational rate-distortion curve of a codec, one point a setting.
 *
 * @param encode writes the samples with a setting, @param decode reads them back; only its result is judged
 */
export function sweep<Setting>(
  settings: readonly Setting[],
  samples: Float32Array,
  encode: (samples: Float32Array, setting: Setting) => Uint8Array[],
  decode: (bytes: Uint8Array[], setting: Setting) => Float32Array,
): (Measured & { setting: Setting })[] {
  return settings.map((setting) => {
    const bytes = encode(samples, setting);
    const decoded = decode(bytes, setting);
    let squares = 0;
    for (let i = 0; i < samples.length; i++) squares += (samples[i] - decoded[i]) ** 2;
    const written = bytes.reduce((sum, { length }) => sum + length, 0);
    return { setting, rate: (8 * written) / samples.length, distortion: squares / samples.length };
  });
}

/** Signal-to-noise ratio in dB of a source of variance 1: what BD-rate takes as quality. */
export const decibels = ({ rate, distortion }: Measured): RatePoint => ({
  rate,
  quality: -10 * Math.log10(distortion),
});

/** One step for all coefficients and a stream a coefficient, so that each gets a table of its own. */
function transformCodec(transform: Transform) {
  const { rows: length } = transform;
  return {
    encode(samples: Float32Array, step: number): Uint8Array[] {
      const coefficients = forward(transform, samples);
      return Array.from({ length }, (_, k) => {
        const levels = new Uint16Array(coefficients.length / length);
        for (let i = 0; i < levels.length; i++) {
          const level = Math.round(coefficients[i * length + k] / step);
          levels[i] = level < 0 ? -2 * level - 1 : 2 * level;
        }
        return compress(levels);
      });
    },
    decode(streams: Uint8Array[], step: number): Float32Array {
      const levels = streams.map((bytes) => decompress(bytes));
      const coefficients = new Float32Array(levels[0].length * length);
      for (const [k, column] of levels.entries()) {
        for (let i = 0; i < column.length; i++) {
          coefficients[i * length + k] = step * (column[i] & 1 ? -(column[i] + 1) / 2 : column[i] / 2);
        }
      }
      return inverse(transform, coefficients);
    },
  };
}

const STEPS = [0.125, 0.25, 0.5, 1, 1.5, 2];
const SIZE = 8;

export async function run({ quick }: { quick: boolean }): Promise<unknown> {
  const count = quick ? 2 ** 13 : 2 ** 16;
  const results = [];
  for (const correlation of [0, 0.5, 0.9, 0.95]) {
    const covariance = gaussMarkovCovariance(correlation, SIZE);
    const { values: variances } = symmetricEigen(covariance, SIZE);
    const samples = gaussMarkovRows(correlation, SIZE, count);
    const transforms = {
      none: identityTransform(SIZE),
      DCT: dctTransform(SIZE),
      KLT: pcaTransform(samples, SIZE),
    };
    const curves = Object.entries(transforms).map(([name, transform]) => {
      const { encode, decode } = transformCodec(transform);
      return { name, transform, points: sweep(STEPS, samples, encode, decode) };
    });
    console.log(
      `\nGauss-Markov, correlation ${correlation}, ${count} rows of ${SIZE}: bits a value written (above R(D))`,
    );
    console.log(
      markdownTable(
        curves.map(({ name, transform, points }) => ({
          transform: name,
          ...Object.fromEntries(
            points.map(({ setting, rate, distortion }) => [
              `step ${setting}`,
              `${rate.toFixed(3)} (+${(rate - gaussianRate(variances, distortion)).toFixed(3)})`,
            ]),
          ),
          "gain, bits": (Math.log2(codingGain(transform, covariance)) / 2).toFixed(3),
          "BD-rate": `${(100 * bdRate(curves[0].points.map(decibels), points.map(decibels))).toFixed(1)} %`,
        })),
      ),
    );
    results.push({ correlation, curves: curves.map(({ name, points }) => ({ name, points })) });
  }
  return results;
}
