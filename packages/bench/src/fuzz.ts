/**
 * Mutation fuzzer of the coders' self-describing streams: `npm run fuzz -- --seconds 60`.
 *
 * Valid streams of all kinds of symbols are altered (bits, bytes, cuts, splices, copies, noise) and decoded. An altered
 * stream must be refused by a typed error: never a hang, never another kind of throw, never symbols that are not the
 * original's. Without `--seconds`: 2,000 cases a coder, the slice that every test run can afford.
 */
import { pathToFileURL } from "node:url";
import cac from "cac";
import { type Coder, selfDescribing } from "./coders.js";
import { draw, featureMapSource, laplaceSource, random, uniformSource } from "./sources.js";

/** Longer than any of these decodings takes by far, in milliseconds. */
const HANG = 2000;

function corpus(seed: number): Uint8Array[] {
  const next = random(seed);
  const length = () => Math.floor(4000 ** next());
  return [
    new Uint8Array(0),
    new Uint8Array(length()).fill(Math.floor(next() * 256)),
    ...[0.2, 0.8, 2, 4, 6].map((bits) => laplaceSource(bits, length(), seed).symbols),
    uniformSource(2 + Math.floor(next() * 255), length(), seed).symbols,
    featureMapSource(0.8, 1, 32, seed).symbols.subarray(0, length()),
    draw(Float64Array.of(0.5, 0, 0.25, 0.25), length(), seed),
  ];
}

function mutate(bytes: Uint8Array, others: Uint8Array[], next: () => number): Uint8Array {
  let altered = bytes.slice();
  const below = (n: number) => Math.floor(next() * n);
  for (let edits = 1 + below(3); edits > 0; edits--) {
    const at = below(altered.length);
    // The header is a small part of most streams, and most of what can go wrong.
    const where = next() < 0.5 ? below(Math.min(altered.length, 24)) : at;
    const other = others[below(others.length)];
    switch (below(7)) {
      case 0:
        altered[where] ^= 1 << below(8);
        break;
      case 1:
        altered[where] = below(256);
        break;
      case 2:
        altered[where] = [0, 255, 1, 127, 128][below(5)];
        break;
      case 3:
        altered = altered.slice(0, at);
        break;
      case 4:
        altered = Uint8Array.from([...altered.subarray(0, at), ...other.subarray(below(other.length))]);
        break;
      case 5:
        altered.copyWithin(at, below(altered.length));
        break;
      default:
        altered = Uint8Array.from([...altered.subarray(0, at), below(256), ...altered.subarray(at)]);
    }
  }
  return altered;
}

export interface Report {
  coder: string;
  cases: number;
  refused: number;
  /** Altered bytes that still are a stream of the same symbols. */
  same: number;
  failures: string[];
}

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");
const equal = (a: ArrayLike<number>, b: ArrayLike<number>) =>
  a.length === b.length && Array.prototype.every.call(a, (value, i) => value === b[i]);

/**
 * @param limits stop a coder after so many cases, or so many seconds, whichever comes first
 */
export function fuzz(
  coders: Coder[],
  { cases, seconds, seed }: { cases: number; seconds: number; seed: number },
): Report[] {
  return coders.map(({ name, encode, decode }) => {
    const report: Report = { coder: name, cases: 0, refused: 0, same: 0, failures: [] };
    const start = performance.now();
    for (let round = seed; report.cases < cases && performance.now() - start < 1000 * seconds; round++) {
      const originals = corpus(round);
      const streams = originals.map((symbols) => encode(symbols));
      const known = new Set(streams.map(hex));
      const next = random(round);
      for (let k = 0; k < 200 && report.cases < cases; k++, report.cases++) {
        const which = Math.floor(next() * streams.length);
        const altered = mutate(streams[which], streams, next);
        if (known.has(hex(altered))) {
          report.same++;
          continue;
        }
        const began = performance.now();
        try {
          const decoded = decode(altered);
          if (equal(decoded, originals[which])) report.same++;
          else report.failures.push(`wrong decode of ${hex(altered)}`);
        } catch (error) {
          if (error instanceof Error && error.name === "CorruptInputError") report.refused++;
          else report.failures.push(`${String(error)} from ${hex(altered)}`);
        }
        const took = performance.now() - began;
        if (took > HANG) report.failures.push(`${took.toFixed(0)} ms for ${hex(altered)}`);
      }
    }
    return report;
  });
}

function main(): void {
  const cli = cac("fuzz");
  cli
    .command("", "Alter streams of every coder and see that each decoder notices")
    .option("--seconds <n>", "How long, for each coder (default: 2,000 cases each)")
    .option("--seed <n>", "Where to begin; equal seeds try equal cases", { default: 1 })
    .action((flags: { seconds?: number; seed: number }) => {
      const seconds = flags.seconds ?? 600;
      if (!(seconds > 0) || !Number.isInteger(flags.seed)) {
        console.error(
          `fuzz: expected --seconds above 0 and a whole --seed, got ${seconds} and ${flags.seed}`,
        );
        process.exitCode = 2;
        return;
      }
      const cases = flags.seconds === undefined ? 2000 : Number.POSITIVE_INFINITY;
      for (const { coder, cases: tried, refused, same, failures } of fuzz(selfDescribing, {
        cases,
        seconds,
        seed: flags.seed,
      })) {
        console.log(
          `${coder}: ${tried} cases, ${refused} refused, ${same} unchanged in effect, ${failures.length} failures`,
        );
        for (const failure of failures.slice(0, 10)) console.log(`  ${failure}`);
        if (failures.length > 0) process.exitCode = 1;
      }
    });
  cli.help();
  cli.parse();
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) main();
