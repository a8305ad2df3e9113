/** One rank of the bench `ranks`: trains ResNet-20 on made-up images, and rank 0 prints the seconds of a step and of its gradients. */
import { normal, uniform } from "@bitdiet/zoo/data/random";
import { foldBatchNorm } from "@bitdiet/zoo/nets/batch-norm";
import { variables } from "@bitdiet/zoo/nets/parameters";
import { cifarResnet, initialCifarResnet } from "@bitdiet/zoo/nets/resnet";
import { launchOf } from "@bitdiet/zoo/ring/launch";
import { joinRanks, oneRank } from "@bitdiet/zoo/ring/ranks";
import { useBackend } from "@bitdiet/zoo/training/backend";
import { agreeWith, type Replica, type Share, startWorkers } from "@bitdiet/zoo/training/data-parallel";
import { type Gradients, type Loss, train } from "@bitdiet/zoo/training/loop";
import { crossEntropy } from "@bitdiet/zoo/training/losses";
import * as tf from "@tensorflow/tfjs-core";

/** Images of a step, and parts of it. */
export const BATCH = 64;
export const SHARES = 4;
const WARM_UP = 3;

function problem({ index, count }: Share): { variables: tf.Variable[]; loss: Loss } {
  const trained = variables(tf.tidy(() => foldBatchNorm(initialCifarResnet(20, 10, 1))));
  const size = BATCH / count;
  const images = Float32Array.from({ length: size * 32 * 32 * 3 }, normal(uniform(1 + index)));
  const classes = Int32Array.from({ length: size }, (_, i) => i % 10);
  const loss: Loss = () => {
    const labels = tf.oneHot(tf.tensor1d(classes, "int32"), 10);
    const x = tf.tensor4d(images, [size, 32, 32, 3]);
    return crossEntropy(tf.cast(labels, "float32") as tf.Tensor2D, cifarResnet(trained, x));
  };
  return { variables: Object.values(trained), loss };
}

export const replica: Replica<object> = async (_, share) => problem(share);

if (process.argv[1] === import.meta.filename) {
  const steps = Number(process.argv[2]);
  await useBackend("wasm");
  const ranks = process.env["BITDIET_RANKS"] === undefined ? oneRank : await joinRanks(launchOf());
  const own = problem({ index: 0, count: 1 });
  const module = new URL(import.meta.url);
  const { gradients, stop } = await startWorkers({ module, options: {}, workers: 1, shares: SHARES, ranks });
  const starts: number[] = [];
  let finding = 0;
  const timed: Gradients = async (all, step, progress) => {
    starts.push(performance.now());
    const found = await gradients(all, step, progress);
    if (step >= WARM_UP) finding += performance.now() - starts[step];
    return found;
  };
  const groups = [{ variables: own.variables, learningRate: 1e-3 }];
  await train({
    task: `rank ${ranks.rank}`,
    steps: WARM_UP + steps,
    groups,
    gradients: timed,
    agree: agreeWith(ranks),
  });
  const all = performance.now() - starts[WARM_UP];
  await stop();
  await ranks.leave();
  const values = own.variables.reduce((sum, { size }) => sum + size, 0);
  if (ranks.rank === 0)
    console.log(JSON.stringify({ step: all / steps / 1000, gradients: finding / steps / 1000, values }));
}
