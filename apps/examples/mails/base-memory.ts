// Does bert-base fit? Loads a checkpoint of its sizes (12 layers of 768, 30,522 tokens; random weights), runs it forward, and
// takes one training step with AdamW, two texts of 32 tokens, with dropout; prints the peak memory of the process.
//
//     npx tsx mails/base-memory.ts     { "forwardSeconds": …, "stepSeconds": …, "peakMegabytes": …, … }
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type BertConfig, bert, initialBert } from "@bitdiet/zoo/nets/bert";
import { readBertCheckpoint, writeBertCheckpoint } from "@bitdiet/zoo/nets/bert-checkpoint";
import { seededDropout } from "@bitdiet/zoo/nets/dropout";
import { useBackend } from "@bitdiet/zoo/training/backend";
import { gradientsOf } from "@bitdiet/zoo/training/loop";
import { crossEntropy } from "@bitdiet/zoo/training/losses";
import { adam } from "@bitdiet/zoo/training/optimizers";
import * as tf from "@tensorflow/tfjs-core";

const BASE: BertConfig = {
  vocabSize: 30_522,
  hiddenSize: 768,
  numHiddenLayers: 12,
  numAttentionHeads: 12,
  intermediateSize: 3072,
  maxPositionEmbeddings: 512,
  typeVocabSize: 2,
  layerNormEps: 1e-12,
  numLabels: 2,
};
const [BATCH, LENGTH] = [2, 32];

await useBackend("wasm");
const [, script, made] = process.argv;
if (made === undefined) await measure();
else await writeBertCheckpoint(made, { config: BASE, parameters: initialBert(BASE, 1) });

async function measure(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "bert-base-"));
  try {
    // In a process of its own, whose memory is not that of a user who has a checkpoint.
    const { status } = spawnSync(
      process.execPath,
      [...process.execArgv, fileURLToPath(import.meta.url), folder],
      { stdio: "inherit" },
    );
    if (status !== 0) throw new Error(`${script} could not write a checkpoint: exit status ${status}.`);
    const { parameters, config } = await readBertCheckpoint(folder);
    const loadedMegabytes = peakMegabytes();
    const variables = Object.fromEntries(
      Object.entries(parameters).map(([name, tensor]) => {
        const variable = tf.variable(tensor);
        tensor.dispose();
        return [name, variable];
      }),
    );
    const ids = Array.from({ length: BATCH * LENGTH }, (_, i) => (i * 7919) % BASE.vocabSize);
    const input = {
      ids: tf.tensor2d(ids, [BATCH, LENGTH], "int32"),
      mask: tf.ones([BATCH, LENGTH]) as tf.Tensor2D,
      tokenTypes: tf.zeros([BATCH, LENGTH], "int32") as tf.Tensor2D,
    };
    const labels = tf.tensor2d([1, 0, 0, 1], [BATCH, 2]);

    let start = performance.now();
    const logits = tf.tidy(() => bert(variables, config, input).dataSync());
    const forwardSeconds = (performance.now() - start) / 1000;
    const forwardMegabytes = peakMegabytes();

    start = performance.now();
    const all = Object.values(variables);
    const optimizer = adam({ weightDecay: 0.01 })(all);
    const found = await gradientsOf((step) =>
      crossEntropy(labels, bert(variables, config, input, {}, seededDropout(0.1, step + 1))),
    )(all, 0, 0);
    optimizer.update(found.gradients, 3e-5);
    const stepSeconds = (performance.now() - start) / 1000;
    console.log(
      JSON.stringify({
        parameters: all.reduce((sum, { size }) => sum + size, 0),
        batch: [BATCH, LENGTH],
        logits: [...logits].map((logit) => Number(logit.toFixed(4))),
        loss: found.loss,
        forwardSeconds,
        stepSeconds,
        loadedMegabytes,
        forwardMegabytes,
        peakMegabytes: peakMegabytes(),
      }),
    );
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function peakMegabytes(): number {
  return Math.round(process.resourceUsage().maxRSS / 1024);
}
