/**
 * How long a page's thread is busy at a time while a model of 25 M weights loads in Chromium: a page stands still for as long, and 50 ms is
 * what a user notices (W3C, Long Tasks). Tasks and the processor's time for them are those of the browser's own trace: on a busy machine
 * the wall's time says how long others had the processor.
 */
import { existsSync } from "node:fs";
import { encodeModel } from "bitdiet";
import { type Browser, chromium } from "playwright";
import { synthetic } from "./file.js";
import type { PageResult } from "./page/report-time.js";
import { serve } from "./page/server.js";
import { markdownTable, type Row } from "./report.js";
import { median } from "./timing.js";

const EXECUTABLE = process.env.CHROMIUM_PATH ?? "/usr/bin/chromium";
const PATIENCE_MS = 120_000;
/** How a model is had: its bytes alone, by the loader's Workers, and by the page's thread itself. */
const PAGES = [
  ["bytes only fetched", "load-plain", {}],
  ["fromBitdiet", "load-ours", {}],
  ["fromBitdiet without Workers", "load-ours", { workers: "0" }],
] as const;

export async function run({ quick }: { quick: boolean }): Promise<unknown> {
  if (!existsSync(EXECUTABLE)) {
    console.log("tasks: needs Chromium (CHROMIUM_PATH)");
    return undefined;
  }
  const files = { "24 tensors": fileOf(24, 1024), "1 tensor": fileOf(1, 5 * 1024) };
  const variants = Object.fromEntries(
    Object.entries(files).map(([name, bytes]) => [
      name,
      { entry: "model.bitdiet", files: { "model.bitdiet": bytes }, isPlain: false },
    ]),
  );
  const server = await serve(variants);
  const browser = await chromium.launch({ executablePath: EXECUTABLE, args: ["--no-sandbox"] });
  const rows: Row[] = [];
  try {
    for (const name of Object.keys(variants))
      for (const [served, page, workers] of PAGES) {
        const query = new URLSearchParams({ model: server.entry(name), ...workers });
        const longest: Task[] = [];
        for (let round = 0; round < (quick ? 1 : 5); round++)
          longest.push(longestOf(await tasksOf(browser, `${server.origin}/${page}.html?${query}`)));
        rows.push(rowOf(`${name}, ${served}`, longest));
      }
  } finally {
    await browser.close();
    await server.close();
  }
  console.log(markdownTable(rows));
  return { command: "npm run bench -- tasks", seed: 1, browser: browser.version(), rows };
}

/** Matrices of size x size Laplace weights, 4 bits or so each, in a model that pages load. */
function fileOf(count: number, size: number, minGain?: number): Uint8Array {
  const text = (name: string, content: string) => ({ name, bytes: new TextEncoder().encode(content) });
  const metadata = [
    text("format", "tfjs-graph"),
    text("model.json", '{"modelTopology":{"node":[]},"weightsManifest":[]}'),
  ];
  const tensors = synthetic(count, size).map(({ quantized }, i) => ({
    name: `w${i}`,
    dtype: "float32" as const,
    quantized,
  }));
  return encodeModel({ metadata, tensors }, { minGain });
}

/** Milliseconds by the wall's clock, and by the processor's. */
interface Task {
  wall: number;
  processor: number;
}

/** Tasks of the page's thread from navigation to the last weight. */
async function tasksOf(browser: Browser, url: string): Promise<Task[]> {
  const context = await browser.newContext();
  try {
    const page = await context.newPage();
    await browser.startTracing(page, { categories: ["toplevel", "disabled-by-default-devtools.timeline"] });
    await page.goto(url, { waitUntil: "commit" });
    const handle = await page.waitForFunction(() => (window as { result?: unknown }).result, undefined, {
      timeout: PATIENCE_MS,
      polling: 200,
    });
    const result = (await handle.jsonValue()) as PageResult | { error: string };
    const trace = JSON.parse((await browser.stopTracing()).toString()) as { traceEvents: TraceEvent[] };
    if ("error" in result) throw new Error(`${url}: ${result.error}`);
    return pageTasks(trace.traceEvents);
  } finally {
    await context.close();
  }
}

interface TraceEvent {
  name: string;
  pid: number;
  tid: number;
  /** Microseconds, and those of the processor. */
  dur?: number;
  tdur?: number;
  args: { name?: string; data?: { documentLoaderURL?: string } };
}

/** Of the renderer that did the most: each page of a context of its own has one. */
function pageTasks(events: readonly TraceEvent[]): Task[] {
  const threads = events.filter(({ name, args }) => name === "thread_name" && args.name === "CrRendererMain");
  const tasks = threads.map(({ pid, tid }) =>
    events
      .filter((event) => event.pid === pid && event.tid === tid && /RunTask$/.test(event.name))
      .map(({ dur = 0, tdur = 0 }) => ({ wall: dur / 1000, processor: tdur / 1000 })),
  );
  const busy = (each: readonly Task[]) => each.reduce((sum, { processor }) => sum + processor, 0);
  return tasks.reduce((most, each) => (busy(each) > busy(most) ? each : most), []);
}

/** The most of both, which need not be of the same task. */
const longestOf = (tasks: readonly Task[]): Task => ({
  wall: Math.max(...tasks.map(({ wall }) => wall)),
  processor: Math.max(...tasks.map(({ processor }) => processor)),
});

/** @param longest of each visit */
function rowOf(served: string, longest: readonly Task[]): Row {
  const of = (values: readonly number[]) => ({
    median: Number(median(values).toFixed(1)),
    most: Number(Math.max(...values).toFixed(1)),
  });
  const processor = of(longest.map((task) => task.processor));
  const wall = of(longest.map((task) => task.wall));
  return {
    served,
    "longest task, ms of processor": processor.median,
    "most of all visits": processor.most,
    "longest task, ms": wall.median,
  };
}
