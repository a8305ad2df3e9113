/**
 * Compression-aware training of any network with hooks (CAT; Baskin et al., JMLR 22, 2021):
 *
 *     loss = task + lambda * activation bits + lambda * weight bits
 *
 * Quantizers and their scales are learned along. This is the loss and its variables, for an optimizer of yours; with both
 * lambdas 0 it is plain quantization-aware training.
 */
import type { Quantizer } from "@bitdiet/fake-quant";
import * as tf from "@tensorflow/tfjs-core";
import type { Hooks, Parameters } from "./hooks.js";
import { type FrozenScale, type Quantizers, quantizingHooks, type Scales } from "./quantizers.js";
import { type RateWeight, rateMeter } from "./rate.js";

/** Hands on a number beside the loss: "activation bits", "weight bits", or what the task's loss calls it. */
export type Log = (name: string, value: tf.Scalar) => void;

/** A loss to minimize, once a step within a tidy or a gradient. @param progress 0 .. 1 over the run */
export type Loss = (step: number, progress: number, log?: Log) => tf.Scalar;

/** What is trained, and for which loss. */
export interface CompressionAwareOptions<S extends FrozenScale> {
  /** Values that training starts from; copies are trained. */
  parameters: Parameters;
  /** Which parameters are trained, by name; all by default. */
  trainable?: (name: string) => boolean;
  /** Where the scales start, all positive; `initialScales` finds some. */
  scales: Scales<S>;
  /** Quantizers at these scales, `uniformQuantizers` for instance; called once a step. */
  quantizersOf: (scales: Scales<tf.Tensor>) => Quantizers;
  /** The task's loss on the batch of a step: gives `parameters` and `hooks` to the network. */
  loss: (parameters: Parameters, hooks: Required<Hooks>, step: number, log: Log) => tf.Scalar;
  /** Weight of the activations' bits; none by default. */
  activationRate?: RateWeight;
  /** Weight of the weights' bits; none by default. */
  weightRate?: RateWeight;
  /** Share of the run over which both lambdas rise from 0 in a straight line, 0 .. 1; 0 by default. */
  warmUp?: number;
  /**
   * Sharpness of soft histograms at the start and at the end, geometrically between; 1 and 10 by default. The paper's is 10
   * throughout; starting soft lets every value feel the pull before the assignment hardens.
   */
  sharpness?: { first: number; last: number };
}

/** A network as training leaves it. Its integers follow from parameters and scales. */
export interface Trained<S extends FrozenScale> {
  /** Variables; the caller disposes of them. */
  parameters: Parameters;
  scales: Scales<S>;
}

/** A run: what an optimizer needs. */
export interface CompressionAwareTraining<S extends FrozenScale> {
  /** Copies of the parameters; those that are not trained are no trainable variables. */
  parameters: Record<string, tf.Variable>;
  /** Logarithms of all scales; a learning rate of ten times the parameters' serves them well. */
  logScales: tf.Variable[];
  loss: Loss;
  /** Freezes the scales; the run is over, and its variables of scales are disposed of. */
  result(): Trained<S>;
}

/**
 * @throws {RangeError} if a lambda is negative, a scale is not positive, or `warmUp` or a sharpness is out of range
 */
export function compressionAwareTraining<S extends FrozenScale>({
  parameters: start,
  trainable = () => true,
  scales,
  quantizersOf,
  loss: taskLoss,
  activationRate,
  weightRate,
  warmUp = 0,
  sharpness: { first, last } = { first: 1, last: 10 },
}: CompressionAwareOptions<S>): CompressionAwareTraining<S> {
  checkRate("activationRate", activationRate);
  checkRate("weightRate", weightRate);
  if (!(warmUp >= 0 && warmUp <= 1)) throw new RangeError(`warmUp: expected 0 to 1, got ${warmUp}`);
  for (const [end, value] of Object.entries({ first, last }))
    if (!(value > 0)) throw new RangeError(`sharpness.${end}: expected a number above 0, got ${value}`);
  const logScales = mapScales(scales, (scale, name) => logVariable(scale, name));
  const parameters = mapValues(start, (value, name) => tf.tidy(() => tf.variable(value, trainable(name))));

  const loss: Loss = (step, progress, log = () => {}) => {
    const quantizers = oncePerName(quantizersOf(mapScales(logScales, (variable) => tf.exp(variable))));
    const sharpness = first * (last / first) ** progress;
    const weightMeter = rateMeter(weightRate);
    const activationMeter = rateMeter(activationRate);
    const { weight, activation } = quantizingHooks(quantizers);
    const hooks: Required<Hooks> = {
      weight: (w, name) => {
        const priced = weightRate?.lambda
          ? weightMeter.add(w, quantizers.weight(name), { name, sharpness, seed: step })
          : w;
        return weight(priced, name);
      },
      activation: (a, name) => {
        const priced = activationRate?.lambda
          ? activationMeter.add(a, quantizers.activation(name), { name, sharpness, seed: step })
          : a;
        return activation(priced, name);
      },
    };
    const task = taskLoss(parameters, hooks, step, log);
    const risen = warmUp > 0 ? Math.min(1, progress / warmUp) : 1;
    const terms = [
      { name: "activation bits", lambda: activationRate?.lambda ?? 0, bits: activationMeter.mean() },
      { name: "weight bits", lambda: weightRate?.lambda ?? 0, bits: weightMeter.mean() },
    ].filter(({ lambda }) => lambda > 0);
    for (const { name, bits } of terms) log(name, bits);
    return tf.addN([task, ...terms.map(({ lambda, bits }) => tf.mul(bits, lambda * risen))]) as tf.Scalar;
  };

  const result = (): Trained<S> => {
    const frozen = mapScales(logScales, (variable) => frozenScale<S>(variable));
    tf.dispose([logScales.weight, logScales.activation]);
    return { parameters, scales: frozen };
  };
  const variables = [...Object.values(logScales.weight), ...Object.values(logScales.activation)];
  return { parameters, logScales: variables, loss, result };
}

function checkRate(argument: string, rate: RateWeight | undefined): void {
  if (rate && !(rate.lambda >= 0 && rate.lambda < Infinity))
    throw new RangeError(`${argument}.lambda: expected a number of at least 0, got ${rate.lambda}`);
}

/** ln of a scale as a variable. @throws {RangeError} unless it is positive */
function logVariable(scale: FrozenScale, name: string): tf.Variable {
  const bad = [scale].flatMap((own) => (typeof own === "number" ? own : [...own])).find((own) => !(own > 0));
  if (bad !== undefined) throw new RangeError(`scales: expected numbers above 0, got ${bad} for "${name}"`);
  const logarithm = typeof scale === "number" ? Math.log(scale) : scale.map(Math.log);
  return tf.tidy(() => tf.variable(tf.tensor(logarithm)));
}

/** The scale as a number, or as an array if there are several: in the form that training was given it. */
function frozenScale<S extends FrozenScale>(logScale: tf.Variable): S {
  const scale = tf.exp(logScale);
  const values = scale.dataSync<"float32">().slice();
  scale.dispose();
  return (logScale.rank === 0 ? values[0] : values) as S;
}

/** The same quantizers, each built when it is first asked for. */
function oncePerName(quantizers: Quantizers): Quantizers {
  const once = (build: (name: string) => Quantizer) => {
    const built = new Map<string, Quantizer>();
    return (name: string): Quantizer => {
      const found = built.get(name) ?? build(name);
      built.set(name, found);
      return found;
    };
  };
  return { weight: once(quantizers.weight), activation: once(quantizers.activation) };
}

const mapValues = <A, B>(record: Record<string, A>, of: (value: A, name: string) => B): Record<string, B> =>
  Object.fromEntries(Object.entries(record).map(([name, value]) => [name, of(value, name)]));

function mapScales<A extends tf.Tensor | FrozenScale, B extends tf.Tensor | FrozenScale>(
  { weight, activation }: Scales<A>,
  of: (scale: A, name: string) => B,
): Scales<B> {
  return { weight: mapValues(weight, of), activation: mapValues(activation, of) };
}
