/**
 * Training that ends at the step at which its loss is no number any more. TF.js goes on, every weight is NaN from then on, and what
 * a quantizer makes of NaN looks like any integer.
 *
 *     endWithoutNumbers(model);
 *     await model.fit(x, y);   // Error: the loss became NaN at step 2 (epoch 1, batch 2); x holds NaN, first at [1, 1]
 */
import * as tf from "@tensorflow/tfjs-core";
import { Callback, type LayersModel } from "@tensorflow/tfjs-layers";

type Fit = LayersModel["fit"];
type Data = Parameters<Fit>[0];
type Callbacks = NonNullable<Parameters<Fit>[2]>["callbacks"];
type OnBatchEnd = Callback["onBatchEnd"];

/** Makes `fit` and `fitDataset` of this model throw where they would go on without numbers. */
export function endWithoutNumbers(model: LayersModel): void {
  const { fit, fitDataset } = model;
  model.fit = (x, y, args = {}) =>
    fit.call(model, x, y, {
      ...args,
      callbacks: withBatchEnd(
        args.callbacks,
        watching(model, () => ({ ...named("x", x), ...named("y", y) })),
      ),
    });
  model.fitDataset = (dataset, args) =>
    fitDataset.call(model, dataset, {
      ...args,
      callbacks: withBatchEnd(
        args.callbacks,
        watching(model, () => ({})),
      ),
    }) as never;
}

/** @param data what training is on, as far as it can be looked at */
function watching(model: LayersModel, data: () => Record<string, tf.Tensor>): OnBatchEnd {
  let [step, epoch] = [0, 0];
  return async (batch, logs) => {
    if (batch === 0) epoch++;
    step++;
    const given = logs?.["loss"] as number | tf.Tensor | undefined;
    const loss = typeof given === "object" ? (await given.data())[0] : given;
    if (loss === undefined || Number.isFinite(loss)) return;
    const variables = model.weights.map((variable) => [variable.originalName, variable.read()] as const);
    const cause = await firstBroken([...Object.entries(data()), ...variables]);
    throw new Error(`the loss became ${loss} at step ${step} (epoch ${epoch}, batch ${batch + 1})${cause}`);
  };
}

/** The first tensor with values that are no numbers, and where, for a message. */
async function firstBroken(tensors: Iterable<readonly [string, tf.Tensor]>): Promise<string> {
  for (const [name, tensor] of tensors) {
    if (tensor.dtype !== "float32") continue;
    const values = await tensor.data();
    const at = values.findIndex((value) => !Number.isFinite(value));
    if (at >= 0) return `; ${name} holds ${values[at]}, first at [${placeOf(at, tensor.shape).join(", ")}]`;
  }
  return "";
}

function placeOf(index: number, shape: readonly number[]): number[] {
  const place: number[] = [];
  let rest = index;
  for (const extent of [...shape].reverse()) {
    place.unshift(rest % extent);
    rest = Math.floor(rest / extent);
  }
  return place;
}

function named(argument: string, data: Data): Record<string, tf.Tensor> {
  if (data instanceof tf.Tensor) return { [argument]: data };
  const label = (key: string) => (Array.isArray(data) ? `${argument}[${key}]` : `${argument}.${key}`);
  return Object.fromEntries(Object.entries(data).map(([key, tensor]) => [label(key), tensor]));
}

/** TF.js takes either callbacks, or functions to make some of. */
function withBatchEnd(given: Callbacks, onBatchEnd: OnBatchEnd): Callbacks {
  const list = [given ?? []].flat();
  if (list.length === 0 || !(list[0] instanceof Callback)) return [...list, { onBatchEnd }] as Callbacks;
  const callback = new Watch();
  callback.onBatchEnd = onBatchEnd;
  return [...list, callback] as Callbacks;
}

class Watch extends Callback {}
