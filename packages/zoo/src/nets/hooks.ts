// The hooks of a model. A model is a plain function `logits = model(parameters, x, hooks)` that shows every weight
// it reads and every activation it would write to memory to its hooks, and goes on with what they return. Fake
// quantization is a hook; its closure collects the rate terms. `{}` gives the float model.
// Models open no tf.tidy of their own: what a hook makes lives until the caller's tidy or gradient ends.
// Example: `{ weight: (w, name) => quantizers[name].fakeQuantize(w) }` trains with quantized weights.
import type { Tensor } from "@tensorflow/tfjs-core";

/** What is done with weights and activations on the way through a model. A hook keeps the shape and the dtype. */
export interface Hooks {
  /** Sees each weight matrix, filter or table (never a bias or normalization parameter), by its checkpoint name. */
  weight?: <T extends Tensor>(w: T, name: string) => T;
  /** Sees each activation that is written to memory, by the name of the layer that writes it. */
  activation?: <T extends Tensor>(a: T, name: string) => T;
}

/**
 * The tensors of a model by their checkpoint names (PyTorch, torchvision or Hugging Face), in the layout of tfjs:
 * filters [height, width, in, out], matrices [in, out], so that the output channel is always the last axis.
 */
export type Parameters = Record<string, Tensor>;
