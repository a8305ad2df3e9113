/**
 * A model too large for one job: a safetensors index of 10 GB in eight files, made up, compressed by four jobs and joined, and by one
 * job; the bytes must be the same. `--quick` takes a hundredth of it. Writes about 14 GB to the system's temporary folder.
 */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { createReadStream, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { open } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { normal, uniform } from "@bitdiet/zoo/data/random";
import { textTable } from "@bitdiet/zoo/report/text-table";

const FILES = 8;
const JOBS = 4;
const TENSORS = 37;
const SEED = 1;
const HOW = ["--quality", "40", "--fast", "--calibrate", "none"];

export async function run({ quick }: { quick: boolean }): Promise<unknown> {
  const folder = mkdtempSync(join(tmpdir(), "bitdiet-shards-"));
  try {
    const shape = quick ? [512, 164] : [4096, 2048];
    const bytes = await writeIndex(folder, shape);
    const rows: string[][] = [];
    const timed = (what: string, args: string[], output: string) => {
      const { seconds, peak } = bitdiet(args, folder);
      rows.push([
        what,
        seconds.toFixed(1),
        `${peak}`,
        statSync(join(folder, output)).size.toLocaleString("en"),
      ]);
    };
    const parts = Array.from({ length: JOBS }, (_, i) => `part-${i + 1}.bitdiet`);
    for (const [i, part] of parts.entries())
      timed(
        `job ${i + 1} of ${JOBS}`,
        ["compress", "model.safetensors.index.json", ...HOW, "--shard", `${i + 1}/${JOBS}`, "-o", part],
        part,
      );
    timed("join", ["join", ...parts, "-o", "joined.bitdiet"], "joined.bitdiet");
    timed(
      "one job",
      ["compress", "model.safetensors.index.json", ...HOW, "-o", "one.bitdiet"],
      "one.bitdiet",
    );
    const [joined, one] = await Promise.all(
      ["joined", "one"].map((name) => sha256(join(folder, `${name}.bitdiet`))),
    );
    console.log(
      `${bytes.toLocaleString("en")} bytes of safetensors, ${FILES} files of ${TENSORS} tensors [${shape}], seed ${SEED}`,
    );
    console.log(textTable(["what", "seconds", "peak MB", "bytes"], rows));
    console.log(
      joined === one ? `joined = one job: ${one}` : `joined ${joined} is not what one job makes: ${one}`,
    );
    if (joined !== one) process.exitCode = 1;
    return { bytes, rows, joined, one };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Files of normal numbers, each tensor another turn of the same ones in a scale of its own. @returns their bytes */
async function writeIndex(folder: string, shape: number[]): Promise<number> {
  const size = shape[0] * shape[1];
  const numbers = Float32Array.from({ length: size }, normal(uniform(SEED)));
  const places: Record<string, string> = {};
  let bytes = 0;
  for (let f = 0; f < FILES; f++) {
    const file = `model-${f + 1}-of-${FILES}.safetensors`;
    const names = Array.from({ length: TENSORS }, (_, t) => `layers.${f * TENSORS + t}.weight`);
    const entry = (t: number) => ({ dtype: "F32", shape, data_offsets: [4 * size * t, 4 * size * (t + 1)] });
    const header = Buffer.from(JSON.stringify(Object.fromEntries(names.map((name, t) => [name, entry(t)]))));
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(header.length));
    const handle = await open(join(folder, file), "w");
    await handle.writeFile(Buffer.concat([length, header]));
    for (const [t, name] of names.entries()) {
      const turn = ((f * TENSORS + t) * 7919) % size;
      const scale = 0.01 * (1 + t / TENSORS + f);
      const values = numbers.map((_, i) => scale * numbers[(i + turn) % size]);
      await handle.writeFile(new Uint8Array(values.buffer));
      places[name] = file;
    }
    bytes += (await handle.stat()).size;
    await handle.close();
  }
  writeFileSync(
    join(folder, "model.safetensors.index.json"),
    JSON.stringify({ metadata: {}, weight_map: places }),
  );
  return bytes;
}

/** Runs the command. @throws {Error} with what it said, if it failed */
function bitdiet(args: string[], cwd: string): { seconds: number; peak: number } {
  const main = join(
    dirname(createRequire(import.meta.url).resolve("bitdiet/package.json")),
    "dist/cli/main.js",
  );
  const begin = performance.now();
  // Its last words are the most memory that it had.
  const peak = `process.on("exit", () => console.error("peak " + process.resourceUsage().maxRSS))`;
  const hook = ["--import", `data:text/javascript,${encodeURIComponent(peak)}`];
  const { status, stderr } = spawnSync(process.execPath, [...hook, main, ...args], { cwd, encoding: "utf8" });
  if (status !== 0) throw new Error(`bitdiet ${args.join(" ")}: ${stderr}`);
  const kilobytes = Number(/peak (\d+)/.exec(stderr)?.[1]);
  return { seconds: (performance.now() - begin) / 1000, peak: Math.round(kilobytes / 1000) };
}

async function sha256(path: string): Promise<string> {
  const hash = createHash("sha256");
  for await (const piece of createReadStream(path)) hash.update(piece as Buffer);
  return hash.digest("hex");
}
