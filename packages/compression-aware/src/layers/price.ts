/**
 * The term of the loss: what weights and activations cost in bits, collected on the way through a training step and asked for at
 * its end, where TF.js adds up what layers have in `losses`.
 *
 *     loss = task + lambda_w · mean bits of weights + lambda_a · mean bits of activations
 */
import type { Quantizer } from "@bitdiet/fake-quant";
import * as tf from "@tensorflow/tfjs-core";
import { orderZeroRate, type Rate } from "../rate.js";

export interface PriceOptions {
  /** Nats that a bit per value is worth. */
  lambdas: Record<Kind, number>;
  warmUp: number;
  sharpness: { first: number; last: number };
  rate?: Rate;
}

export type Kind = "weight" | "activation";
const KINDS: readonly Kind[] = ["weight", "activation"];

/** Where a run of training stands: what the lambda's warm-up and the sharpness follow. */
export interface Position {
  /** 0 .. 1; 1 where nobody tells. */
  progress: number;
}

export function pricing({
  lambdas,
  warmUp,
  sharpness: { first, last },
  rate = orderZeroRate(),
}: PriceOptions) {
  const position: Position = { progress: 1 };
  const zero = () => tf.tidy(() => tf.variable(tf.scalar(0), false));
  const means = { weight: zero(), activation: zero() };
  const kept = new Map<string, { kind: Kind; bits: tf.Scalar; size: number }>();
  let step = 0;

  /** Notes what x costs; a weight that is used twice costs once. */
  const price =
    (kind: Kind) =>
    <T extends tf.Tensor>(x: T, quantizer: Quantizer, name: string): T => {
      const key = `${kind} ${name}`;
      if (lambdas[kind] === 0 || kept.has(key)) return x;
      const sharpness = first * (last / first) ** position.progress;
      const seed = (step * SEEDS_PER_STEP + kept.size) | 0;
      const one = rate(x, quantizer, { name, sharpness, seed });
      kept.set(key, { kind, bits: tf.keep(one.bits), size: x.size });
      return one.x;
    };

  /** The whole term, in nats. */
  const loss = (): tf.Scalar =>
    tf.tidy(() => {
      const terms = KINDS.flatMap((kind) => {
        const own = [...kept.values()].filter((term) => term.kind === kind);
        const size = own.reduce((sum, term) => sum + term.size, 0);
        if (size === 0) return [];
        const mean = tf.addN(own.map((term) => tf.mul(term.bits, term.size / size)));
        means[kind].assign(mean as tf.Scalar);
        return tf.mul(mean, lambdas[kind]);
      });
      const risen = warmUp > 0 ? Math.min(1, position.progress / warmUp) : 1;
      forget();
      step++;
      return (terms.length === 0 ? tf.scalar(0) : tf.mul(tf.addN(terms), risen)) as tf.Scalar;
    });

  /** What a step that failed has left. */
  function forget(): void {
    for (const { bits } of kept.values()) bits.dispose();
    kept.clear();
  }
  return { position, means, price, loss, forget };
}

/** More than the tensors of a network. */
const SEEDS_PER_STEP = 4096;
