/**
 * Writes test/golden.ts: `npx tsx packages/feature-codec/test/make-golden.ts`. Only where the format is to change: a change of
 * a golden byte is a breaking release.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { learnFeatureCodec } from "../src/index.js";
import { butterfly, film, type ShapeOf, stretched } from "./sources.js";

const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString("base64");
const shape: ShapeOf = [9, 7, 5];
const samples = Array.from({ length: 6 }, (_, time) => film(time, shape));
const golden: Record<string, { codec: string; frames: string[] }> = {};
for (const [name, transform] of Object.entries({ none: undefined, butterfly, stretched })) {
  const codec = await learnFeatureCodec(samples, { shape, transform, targetBits: 2.5, range: [0, 6] });
  const alone = codec.encode(film(7, shape));
  const reference = codec.decode(alone);
  const frames = [
    alone,
    codec.encode(film(8, shape), { reference }),
    codec.encode(film(9, shape), { coarseness: 6 }),
  ];
  golden[name] = { codec: base64(codec.bytes), frames: frames.map(base64) };
}
const text = `/** Codecs, and three frames of each: alone, predicted from that, coarser. Written by make-golden.ts. */
export const golden: Record<string, { codec: string; frames: string[] }> = ${JSON.stringify(golden, null, 2)};
`;
writeFileSync(join(import.meta.dirname, "golden.ts"), text);
