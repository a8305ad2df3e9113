/**
 * What the inputs of a layer are likely to have in common, where nobody can run the network: what lies side by side under a kernel is
 * alike, and all have a mean, since few layers see what is as often below 0 as above. For places p, q of kernels j, k of a row, in units of
 * an input's energy,
 *
 *     E[x_jp x_jq] = (1 - MEAN) NEIGHBOURS ^ |p - q| + MEAN,     E[x_jp x_kq] = MEAN for j != k
 *
 * Errors that are smooth over a kernel, or add up over a row, so cost more than others, and rounding with feedback avoids them. (Sums over
 * kernels and rows are what SQuant keeps small, too: Guo et al., arXiv 2202.07471.)
 */
import { type Factors, factor, solve } from "./factor.js";

/**
 * Share of the inputs' energy that is their mean's, and correlation of inputs one place apart. Of 0.15, 0.3 and 0.5, and of 0.6 and 0.8, those with the fewest bytes at equal divergence; against none of both ResNet-20 takes 27 to 36 % fewer bytes, YOLOX-nano 15 %,
 * MobileNet V1 0.25 8 %. As a part of the moments that calibration inputs show they gained 2 to 5 % on ResNet-20, and lost on MobileNet.
 */
const MEAN = 0.3;
const NEIGHBOURS = 0.8;
/** Energy that inputs share with no other, so that no error is free. */
const OWN = 0.05;
/** Products that factors may take, in about a third of a second: rows with larger kernels are taken for ones without neighbours. */
const MAX_WORK = 2 ** 28;

/** What errors cost along a row, kernel by kernel. */
export interface LikelyInputs {
  /** Of each kernel of a row, in their order: entry 0 is the sum of all errors in the kernels before it, the others are its own places. */
  kernels: readonly Factors[];
  /** Geometric mean of what an error costs, where later ones make up for it. */
  cost: number;
}

/** Gives them of rows of so many kernels of a height and width. */
export type InputsOf = (kernels: number, kernel: readonly [number, number]) => LikelyInputs;

/**
 * A kernel makes up for a sum t of errors before it at the cost t^2 / s, s = 1^T B^-1 1 with B the moments of its places about the mean.
 * Where n of them share that with what is left to the mean, it costs t^2 MEAN / (1 + MEAN n s): all that one kernel needs to know of those
 * after it is how many they are.
 *
 * @param kernels in a row
 * @param kernel height and width; [1, 1] where inputs are no neighbours
 */
export function likelyInputs(kernels: number, [height, width]: readonly [number, number]): LikelyInputs {
  const places = height * width;
  if (places > 1 && kernels * places ** 3 > MAX_WORK) return likelyInputs(kernels * places, [1, 1]);
  const own = momentsOf(height, width);
  const taken = new Float64Array(places).fill(1);
  solve(
    factor(own, places, () => 0),
    taken,
  );
  const capacity = taken.reduce((sum, value) => sum + value, 0);
  const all: Factors[] = [];
  let logCost = 0;
  for (let after = kernels - 1; after >= 0; after--) {
    const factors = withSum(own, places, MEAN / (1 + MEAN * capacity * after));
    all.push(factors);
    for (const cost of factors.cost.subarray(1)) logCost += Math.log(cost);
  }
  return { kernels: all, cost: Math.exp(logCost / (kernels * places)) };
}

/** Moments of a kernel's places about the mean. */
function momentsOf(height: number, width: number): Float64Array {
  const places = height * width;
  const moments = new Float64Array(places * places);
  for (let p = 0, i = 0; p < places; p++) {
    for (let q = 0; q < places; q++, i++) {
      const [down, along] = [Math.floor(p / width) - Math.floor(q / width), (p % width) - (q % width)];
      moments[i] = (1 - MEAN) * NEIGHBOURS ** Math.hypot(down, along) + (p === q ? OWN : 0);
    }
  }
  return moments;
}

/** Factors of the own places behind the sum of all before, of which a square costs so much. */
function withSum(own: Float64Array, places: number, costOfSum: number): Factors {
  const size = places + 1;
  const moments = new Float64Array(size * size).fill(costOfSum);
  for (let p = 0; p < places; p++)
    for (let q = 0; q < places; q++) moments[(p + 1) * size + q + 1] += own[p * places + q];
  return factor(moments, size, () => 0);
}
