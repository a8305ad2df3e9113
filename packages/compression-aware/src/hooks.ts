/**
 * Hooks of a network: the whole interface between a network and what is done to it. A network is a plain function
 * `logits = network(parameters, x, hooks)` that shows every weight it reads and every activation it would write to memory
 * to its hooks, and goes on with what they return. Fake quantization is a hook; its closure collects the rate terms.
 * `{}` gives the float network. Networks open no `tf.tidy` of their own: what a hook makes lives until the caller's tidy or
 * gradient ends.
 *
 *     { weight: (w, name) => quantizers.weight(name).fakeQuantize(w) }   // trains with quantized weights
 */
import type { Tensor } from "@tensorflow/tfjs-core";

/** What is done with weights and activations on the way through a network. A hook keeps the shape and the dtype. */
export interface Hooks {
  /** Sees each weight matrix, filter or table (never a bias or normalization parameter), by its name in the parameters. */
  weight?: <T extends Tensor>(w: T, name: string) => T;
  /** Sees each activation that is written to memory, by the name of the layer that writes it. */
  activation?: <T extends Tensor>(a: T, name: string) => T;
}

/**
 * Tensors of a network by their checkpoint names ("conv1.weight"), in the layout of tfjs: filters [height, width, in, out],
 * matrices [in, out], so that the output channel is the last axis.
 */
export type Parameters = Record<string, Tensor>;
