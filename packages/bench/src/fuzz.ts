/**
 * Mutation fuzzer of streams and files: `npm run fuzz -- --seconds 60`.
 *
 * Valid streams and files of all kinds are altered (bits, bytes, cuts, splices, copies, noise; files also field by field, with hashes
 * that fit) and decoded. What is altered must be refused by a typed error: never a hang, never another kind of throw, never values that
 * are not the original's. Without `--seconds`: 2,000 cases each, the slice that every test run can afford.
 */
import { pathToFileURL } from "node:url";
import cac from "cac";
import { alteredFiles, bothReaders, forgedFiles, hasPython } from "./fuzz-files.js";
import { streams } from "./fuzz-streams.js";

/** Bytes to try, and what comes of it: "other" is a value that another original may have. */
export interface Case {
  bytes: Uint8Array;
  /** @throws what the decoder throws */
  decode(): "same" | "other" | "refused" | "wrong";
}

/** Something that is tried: equal seeds give equal cases. */
export interface Subject {
  name: string;
  cases(seed: number): Case[];
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

/** Longer than any of these decodings takes by far, in milliseconds. */
const HANG = 2000;

/** Tries one subject. @param limits stop after so many cases, or so many seconds, whichever comes first */
export function fuzz(
  { name, cases }: Subject,
  limits: { cases: number; seconds: number; seed: number },
): Report {
  const report: Report = { name, cases: 0, refused: 0, same: 0, other: 0, failures: [] };
  const start = performance.now();
  for (let seed = limits.seed; performance.now() - start < 1000 * limits.seconds; seed++) {
    for (const { bytes, decode } of cases(seed)) {
      if (report.cases >= limits.cases) return report;
      report.cases++;
      const hex = () => Buffer.from(bytes).toString("hex");
      const began = performance.now();
      try {
        const verdict = decode();
        if (verdict === "wrong") report.failures.push(`wrong decode of ${hex()}`);
        else report[verdict]++;
      } catch (error) {
        if (error instanceof Error && error.name === "CorruptInputError") report.refused++;
        else report.failures.push(`${String(error)} from ${hex()}`);
      }
      const took = performance.now() - began;
      if (took > HANG) report.failures.push(`${took.toFixed(0)} ms for ${hex()}`);
    }
  }
  return report;
}

function main(): void {
  const cli = cac("fuzz");
  cli
    .command("", "Alter streams and files and see that each decoder notices")
    .option("--seconds <n>", "How long, for each of them (default: 2,000 cases each)")
    .option("--seed <n>", "Where to begin; equal seeds try equal cases", { default: 1 })
    .option("--only <text>", "Those whose name has this in it")
    .action((flags: { seconds?: number; seed: number; only?: string }) => {
      const seconds = flags.seconds ?? 600;
      if (!(seconds > 0) || !Number.isInteger(flags.seed)) {
        console.error(
          `fuzz: expected --seconds above 0 and a whole --seed, got ${seconds} and ${flags.seed}`,
        );
        process.exitCode = 2;
        return;
      }
      const cases = flags.seconds === undefined ? 2000 : Number.POSITIVE_INFINITY;
      const subjects = [...streams, alteredFiles(), forgedFiles(), ...(hasPython() ? [bothReaders] : [])];
      for (const subject of subjects.filter(({ name }) => name.includes(flags.only ?? ""))) {
        const {
          name,
          cases: tried,
          refused,
          same,
          other,
          failures,
        } = fuzz(subject, {
          cases,
          seconds,
          seed: flags.seed,
        });
        console.log(
          `${name}: ${tried} cases, ${refused} refused, ${same} unchanged in effect, ${other} something else, ${failures.length} failures`,
        );
        for (const failure of failures.slice(0, 10)) console.log(`  ${failure}`);
        if (failures.length > 0) process.exitCode = 1;
      }
    });
  cli.help();
  cli.parse();
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) main();
