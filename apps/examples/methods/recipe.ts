// What a method is, as far as the runner is concerned: a few networks to be measured, each by itself, so that a stopped
// run goes on where it was. A recipe holds no state; all it needs is the common testbed.
// Example: CAT is one run for each lambda, and its curve is the line through them.
import type { MapCosts, WeightCosts } from "@bitdiet/zoo/shipping/measured";
import type { Testbed } from "./testbed.js";

/** What a method's network does and costs. */
export interface Measured {
  /** On the test images, of the network as decoded; 0 .. 1. */
  accuracy: number;
  /** Feature maps, if the method quantizes them: bits a value over all test images, and each layer's. */
  activations?: MapCosts;
  /** Weights, if the method quantizes them: bits a weight, and each tensor's. */
  weights?: WeightCosts;
  /** Whatever else a row should say: learned bit widths, sparsity, multiplications left, bytes of the published packing. */
  notes?: Record<string, number | string>;
}

/** One network: a row of the table and a point of a curve. */
export interface Run {
  /** Unique within the recipe, fit for a file name: "lambda-0.05". */
  id: string;
  /** Words of the table. */
  title: string;
  /** The line in a rate-distortion plot that it is a point of; none for what stands alone. */
  curve?: string;
  /** What the table and the plot count: feature maps, weights, or (a row in both tables) both. */
  of: "activations" | "weights" | "both";
  /** Whether it trains: then its row names the steps. */
  trains: boolean;
  /** How many times the testbed's steps; 1 unless given. */
  longer?: number;
  /** Makes the network with the testbed's steps, codes it, decodes it and measures. Leaves no tensor behind. */
  measure: (testbed: Testbed) => Promise<Measured>;
}

/** The testbed that a run is measured on: the common one, but for steps. */
export const testbedOf = ({ longer = 1 }: Run, testbed: Testbed): Testbed => ({
  ...testbed,
  steps: longer * testbed.steps,
});

export interface Recipe {
  /** For the command line: npm run methods -- NAME. */
  name: string;
  /** Who published it, where; or what of it is a reconstruction. */
  paper: string;
  /** The paper's own figures, on the paper's own networks, in one line; or that there are none. */
  published: string;
  runs: Run[];
}

/** One network's results as stored: methods/results/RECIPE.RUN.json. */
export interface Row extends Measured {
  recipe: string;
  id: string;
  title: string;
  curve?: string;
  of: Run["of"];
  /** Steps of fine-tuning, and images of a step; 0 for a method that does not train. */
  steps: number;
  batch: number;
  distill: number;
  seed: number;
  /** Test images, and those of them whose feature maps were written as bytes. */
  images: number;
  codedImages: number;
  /** What the bits of weights count: every byte of a .bitdiet file. Rows without it are of streams, as they were before files. */
  unit?: "file";
  /** Command that repeats it. */
  command: string;
  seconds: number;
}
