/**
 * Time from navigation to the first outputs, in Chromium, over a network and on a processor as telephones have them: what people serve
 * today beside .bitdiet files, in turn. The browser's own protocol throttles; it slows the page's thread alone, not Workers, so that
 * rows "on the page" tell what a slow processor without spare cores would take.
 *
 * BITDIET_DATA has the models; what the command makes of them is kept in `out/page`.
 */
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Browser, chromium } from "playwright";
import { type Bar, barsOf } from "./page/plot.js";
import type { PageResult } from "./page/report-time.js";
import { type Served, serve } from "./page/server.js";
import { variantsOf } from "./page/variants.js";
import { markdownTable, type Row } from "./report.js";
import { dataFolder } from "./sources.js";
import { median } from "./timing.js";

const LATENCY_MS = 40;
const CPU_SLOWDOWN = 4;
const MBIT = [10, 50];
const EXECUTABLE = process.env.CHROMIUM_PATH ?? "/usr/bin/chromium";
/** Longer is an error. */
const PATIENCE_MS = 60_000;

const subjects = [
  {
    name: "MobileNet V1 0.25, TF.js",
    page: "tfjs",
    path: "models/mobilenet-v1-025-imagenet-tfjs/model.json",
    shape: [1, 224, 224, 3],
    // On 300 pictures uint8's outputs are 0.39 nats off, those of 4 bits 0.38 (npm run bench -- real-models).
    sameAsUint8: 4,
  },
  {
    name: "NanoDet, ONNX Runtime",
    page: "onnx",
    path: "models/onnx/nanodet_m.onnx",
    shape: [1, 3, 416, 416],
    sameAsUint8: undefined,
  },
];

export async function run({ quick }: { quick: boolean }): Promise<unknown> {
  const folder = dataFolder();
  if (folder === undefined || !existsSync(EXECUTABLE)) {
    console.log("page: needs BITDIET_DATA and Chromium (CHROMIUM_PATH)");
    return undefined;
  }
  const browser = await chromium.launch({ executablePath: EXECUTABLE, args: ["--no-sandbox"] });
  const rows: Row[] = [];
  const rounds = quick ? 1 : 3;
  try {
    for (const subject of subjects.slice(0, quick ? 1 : undefined)) {
      const variants = await variantsOf(join(folder, subject.path), subject.sameAsUint8);
      const server = await serve(variants);
      try {
        const measured = await inTurn(browser, server, subject, Object.keys(variants), rounds);
        rows.push(...rowsOf(subject.name, server, measured));
      } finally {
        await server.close();
      }
    }
  } finally {
    await browser.close();
  }
  console.log(markdownTable(rows));
  const plot = join(import.meta.dirname, "../out/page/page.svg");
  writeFileSync(plot, barsOf(barsIn(rows)));
  console.log(`plotted in ${plot}`);
  const conditions = { latencyMs: LATENCY_MS, cpuSlowdown: CPU_SLOWDOWN, browser: browser.version() };
  return { command: "npm run bench -- page", rounds, ...conditions, rows };
}

/** A variant, and where its weights are decoded: ours on the page's own thread, too. */
interface Contender {
  variant: string;
  onPage: boolean;
}

type Measured = Map<Contender, Record<number, PageResult[]>>;

async function inTurn(
  browser: Browser,
  server: Served,
  { page, shape }: (typeof subjects)[0],
  variants: readonly string[],
  rounds: number,
): Promise<Measured> {
  const contenders = variants.flatMap((variant): Contender[] => {
    const own = { variant, onPage: false };
    return variant === "bitdiet, default" ? [own, { variant, onPage: true }] : [own];
  });
  const measured: Measured = new Map(contenders.map((contender) => [contender, {}]));
  for (const mbit of MBIT) {
    // One round more, which does not count, fills the server's and the system's caches.
    for (let round = mbit === MBIT[0] ? -1 : 0; round < rounds; round++) {
      for (const contender of contenders) {
        const isOurs = contender.variant.startsWith("bitdiet");
        const query = new URLSearchParams({ model: server.entry(contender.variant), shape: String(shape) });
        if (contender.onPage) query.set("workers", "0");
        const url = `${server.origin}/${page}-${isOurs ? "ours" : "plain"}.html?${query}`;
        const result = await visit(browser, url, mbit);
        if (round < 0) continue;
        const results = measured.get(contender)!;
        results[mbit] = [...(results[mbit] ?? []), result];
      }
    }
  }
  return measured;
}

/** One visit without any cache. */
async function visit(browser: Browser, url: string, mbit: number): Promise<PageResult> {
  const context = await browser.newContext();
  try {
    const page = await context.newPage();
    const protocol = await context.newCDPSession(page);
    const bytesPerSecond = (mbit * 1e6) / 8;
    await protocol.send("Network.enable");
    await protocol.send("Network.emulateNetworkConditions", {
      offline: false,
      latency: LATENCY_MS,
      downloadThroughput: bytesPerSecond,
      uploadThroughput: bytesPerSecond,
    });
    await protocol.send("Emulation.setCPUThrottlingRate", { rate: CPU_SLOWDOWN });
    await page.goto(url, { waitUntil: "commit" });
    const handle = await page.waitForFunction(() => (window as { result?: unknown }).result, undefined, {
      timeout: PATIENCE_MS,
      polling: 200,
    });
    const result = (await handle.jsonValue()) as PageResult | { error: string };
    if ("error" in result) throw new Error(`${url}: ${result.error}`);
    if (!result.outputs.every(Number.isFinite)) throw new Error(`${url}: outputs ${result.outputs}`);
    return result;
  } finally {
    await context.close();
  }
}

const barsIn = (rows: readonly Row[]): Bar[] =>
  [...new Set(rows.map(({ model }) => model))].flatMap((model) =>
    MBIT.flatMap((mbit) =>
      rows
        .filter((row) => row.model === model)
        .map((row) => ({
          group: `${model}, ${mbit} Mbit/s`,
          label: String(row.served),
          ms: Number(row[`ms at ${mbit} Mbit/s`]),
        })),
    ),
  );

function rowsOf(model: string, server: Served, measured: Measured): Row[] {
  const msOf = (results: PageResult[]) => median(results.map(({ ms }) => ms));
  const plain = [...measured].find(([{ variant }]) => variant.startsWith("uint8"))![1];
  return [...measured].map(([{ variant, onPage }, results]) => {
    const row: Row = {
      model,
      served: onPage ? `${variant}, on the page` : variant,
      "model bytes": server.bytesOf(variant),
    };
    for (const mbit of MBIT) {
      const ms = msOf(results[mbit]);
      row[`ms at ${mbit} Mbit/s`] = Math.round(ms);
      row[`: uint8 at ${mbit}`] = Number((ms / msOf(plain[mbit])).toFixed(3));
    }
    row["longest task, ms"] = Math.round(median(results[MBIT[0]].map(({ longestTaskMs }) => longestTaskMs)));
    return row;
  });
}
