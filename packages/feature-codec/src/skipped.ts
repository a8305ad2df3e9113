/**
 * Which pixels of a predicted frame are coded: the others are those of the reference. Both kinds come in regions, so that a
 * pixel is likely what those left, above and above right are; a still region costs a hundredth of a bit a pixel.
 */
import { contextAnsCode, neighbourContexts } from "@bitdiet/ans";

/** Of 4,096, how often a pixel is coded by how many of the three are. */
const CODED = [64, 1024, 2560, 3840];
const TABLE_OF = Uint8Array.from(
  { length: 8 },
  (_, context) => (context & 1) + ((context >> 1) & 1) + (context >> 2),
);

/** Code of one map: symbol 1 for a coded pixel. */
export function skippedCode({ height, width }: { height: number; width: number }) {
  const contexts = neighbourContexts({ height, width, channels: 1, thresholds: [1] });
  const tables = CODED.map((coded) => Uint16Array.of(4096 - coded, coded));
  return contextAnsCode({ tableLog: 12, tables, tableOf: TABLE_OF }, contexts);
}
