/** What the fuzzer tries of the coders' self-describing streams: an altered one must be refused, or be of the same symbols. */

import { uniform as random } from "@bitdiet/zoo/data/random";
import { type Coder, selfDescribing } from "./coders.js";
import type { Case, Subject } from "./fuzz.js";
import { altered } from "./fuzz-mutate.js";
import { draw, featureMapSource, laplaceSource, uniformSource } from "./sources.js";

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

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");
const equal = (a: ArrayLike<number>, b: ArrayLike<number>) =>
  a.length === b.length && Array.prototype.every.call(a, (value, i) => value === b[i]);

export const streamsOf = ({ name, encode, decode }: Coder): Subject => ({
  name,
  decode,
  cases(seed) {
    const originals = corpus(seed);
    const streams = originals.map((symbols) => encode(symbols));
    const known = new Set(streams.map(hex));
    const next = random(seed);
    return Array.from({ length: 200 }, (): Case => {
      const which = Math.floor(next() * streams.length);
      const bytes = altered(streams[which], streams, next);
      const isKnown = known.has(hex(bytes));
      return { bytes, decode: () => (isKnown || equal(decode(bytes), originals[which]) ? "same" : "wrong") };
    });
  },
});

export const streams: Subject[] = selfDescribing.map(streamsOf);
