/** A disk that fills up in the middle of a run: a small file system in memory, where this user may mount one. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as tf from "@tensorflow/tfjs-core";
import { afterAll, beforeAll, expect, it } from "vitest";
import { readCheckpoint } from "../../src/nets/checkpoint-file.js";
import { useBackend } from "../../src/training/backend.js";
import { gradientsOf, train } from "../../src/training/loop.js";

const folder = mkdtempSync(join(tmpdir(), "bitdiet-disk-"));
const mounted = spawnSync("mount", ["-t", "tmpfs", "-o", "size=256k", "tmpfs", folder]).status === 0;
beforeAll(() => useBackend("cpu"));
afterAll(() => {
  if (mounted) spawnSync("umount", [folder]);
  rmSync(folder, { recursive: true, force: true });
});

it.skipIf(!mounted)(
  "leaves the last good state and nothing beside it, and the run goes on when there is room",
  async () => {
    const path = join(folder, "state.safetensors");
    const filler = join(folder, "somebody-elses");
    const run = async (resume: boolean, failAt = Infinity) => {
      // 24 kB, three times with Adam's state: 72 kB a file.
      const w = tf.variable(tf.zeros([6000]), true, "w");
      const gradients = gradientsOf((step) => {
        if (step === failAt) writeFileSync(filler, new Uint8Array(130_000));
        return tf.mean(tf.square(tf.sub(w, step))) as tf.Scalar;
      });
      const groups = [{ variables: [w], learningRate: 0.1 }];
      try {
        await train({ task: "full", steps: 8, groups, gradients, checkpoint: { path, every: 1, resume } });
        return w.dataSync<"float32">().slice();
      } finally {
        w.dispose();
      }
    };
    await expect(run(false, 4)).rejects.toThrow(/ENOSPC/);
    expect(readdirSync(folder).sort()).toEqual(["somebody-elses", "state.safetensors"]);
    expect((await readCheckpoint(path)).metadata["done"]).toBe("4");
    rmSync(filler);
    const resumed = await run(true);
    rmSync(path);
    expect(resumed).toEqual(await run(false));
  },
);
