/**
 * Mutation fuzzer of everything that takes bytes from strangers: `npm run fuzz -- --seconds 600`.
 *
 * Valid streams, files and models of all kinds are altered (bits, bytes, cuts, splices, copies, noise; files also field by field, with
 * hashes that fit; JSON token by token) and decoded. What is altered must be refused by a typed error: never a hang, never another kind
 * of throw, never values that are not the original's. Inputs that were refused for a reason not seen before are kept in the corpus,
 * tried first by the next run, and altered further. Without `--seconds`: 2,000 cases each, the slice that every test run can afford.
 */
import { pathToFileURL } from "node:url";
import cac from "cac";
import { type Corpus, corpusAt, noCorpus } from "./fuzz-corpus.js";
import { featureCodecs, featureFrames } from "./fuzz-features.js";
import { alteredFiles, bothReaders, forgedFiles, hasPython } from "./fuzz-files.js";
import { formats } from "./fuzz-formats.js";
import { partSubjects } from "./fuzz-parts.js";
import { streams } from "./fuzz-streams.js";
import { forgedUpdates } from "./fuzz-updates.js";

/** Bytes to try, and what comes of it: "other" is a value that another original may have. */
export interface Case {
  bytes: Uint8Array;
  /** @throws what the decoder throws */
  decode(): Verdict | Promise<Verdict>;
}
export type Verdict = "same" | "other" | "refused" | "wrong";

/** Something that is tried: equal seeds give equal cases. */
export interface Subject {
  name: string;
  cases(seed: number): Case[];
  /** Any bytes. @throws what the decoder throws */
  decode(bytes: Uint8Array): unknown;
}

export interface Report {
  name: string;
  cases: number;
  refused: number;
  /** Altered bytes that still stand for the same, and those that stand for something else. */
  same: number;
  other: number;
  failures: string[];
}

export interface FuzzLimits {
  /** Stop after so many cases, or so many seconds, whichever comes first. */
  cases: number;
  seconds: number;
  seed: number;
}

/** More of a core's time than any of these decodings takes by far, in milliseconds: the machine may have other things to do. */
const HANG = 2000;
/** What a decoder may throw. */
const TYPED = new Set(["CorruptInputError", "ModelFileError"]);

/** Tries one subject: first what is in the corpus, then new cases and alterations of what is in the corpus in turn. */
export async function fuzz(subject: Subject, limits: FuzzLimits, corpus: Corpus = noCorpus): Promise<Report> {
  const report: Report = { name: subject.name, cases: 0, refused: 0, same: 0, other: 0, failures: [] };
  const start = performance.now();
  const isOver = () => report.cases >= limits.cases || performance.now() - start >= 1000 * limits.seconds;
  const anyBytes = (bytes: Uint8Array): Case => ({
    bytes,
    decode: async () => {
      await subject.decode(bytes);
      return "other" as const;
    },
  });
  const tryAll = async (cases: Iterable<Case>) => {
    for (const each of cases) {
      if (isOver()) return;
      await tryOne(each, report, corpus);
    }
  };
  await tryAll(corpus.all().map(anyBytes));
  for (let seed = limits.seed; !isOver(); seed++) {
    await tryAll(subject.cases(seed));
    await tryAll(corpus.altered(seed).map(anyBytes));
  }
  return report;
}

async function tryOne({ bytes, decode }: Case, report: Report, corpus: Corpus): Promise<void> {
  report.cases++;
  const fail = (what: string) => {
    report.failures.push(`${what} from ${Buffer.from(bytes).toString("hex")}`);
    corpus.keep(bytes, what);
  };
  const began = process.cpuUsage();
  try {
    const verdict = await decode();
    if (verdict === "wrong") fail("wrong values");
    else report[verdict]++;
  } catch (error) {
    if (error instanceof Error && TYPED.has(error.name)) {
      report.refused++;
      corpus.keep(bytes, error.message);
    } else fail(String(error));
  }
  const { user, system } = process.cpuUsage(began);
  if (user + system > 1000 * HANG) fail(`${(user + system) / 1000} ms`);
}

/** All that is fuzzed. */
export const subjects = (): Subject[] => [
  ...streams,
  ...partSubjects(),
  alteredFiles(),
  forgedFiles(),
  forgedUpdates,
  featureFrames,
  featureCodecs,
  ...formats,
  ...(hasPython() ? [bothReaders] : []),
];

interface Flags {
  seconds?: number;
  cases: number;
  seed: number;
  only?: string;
  corpus?: string;
}

async function run({ seconds, cases, seed, only = "", corpus }: Flags): Promise<void> {
  const chosen = subjects().filter(({ name }) => name.includes(only));
  const isFine = (seconds ?? 1) > 0 && cases > 0 && Number.isInteger(seed) && chosen.length > 0;
  if (!isFine) {
    const names = subjects().map(({ name }) => name);
    console.error(
      `fuzz: expected --seconds and --cases above 0, a whole --seed, and --only of ${names.join("; ")}`,
    );
    process.exitCode = 2;
    return;
  }
  const limits = {
    cases: seconds === undefined ? cases : Number.POSITIVE_INFINITY,
    seconds: (seconds ?? Number.POSITIVE_INFINITY) / chosen.length,
    seed,
  };
  for (const subject of chosen) {
    const kept = corpus === undefined ? noCorpus : corpusAt(corpus, subject.name);
    const { name, cases, refused, same, other, failures } = await fuzz(subject, limits, kept);
    console.log(
      `${name}: ${cases} cases, ${refused} refused, ${same} unchanged in effect, ${other} something else, ${failures.length} failures`,
    );
    for (const failure of failures.slice(0, 10)) console.log(`  ${failure}`);
    if (failures.length > 0) process.exitCode = 1;
  }
}

async function main(): Promise<void> {
  const cli = cac("fuzz");
  cli
    .command("", "Alter streams, files and models and see that each decoder notices")
    .option("--seconds <n>", "How long in all")
    .option("--cases <n>", "How many of each, where no time is given", { default: 2000 })
    .option("--seed <n>", "Where to begin; equal seeds try equal cases", { default: 1 })
    .option("--only <text>", "Those whose name has this in it")
    .option("--corpus <folder>", "Where inputs are kept that later runs try first, and alter")
    .action(run);
  cli.help();
  cli.parse(process.argv, { run: false });
  await cli.runMatchedCommand();
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) await main();
