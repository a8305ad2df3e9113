/**
 * Feature maps over a wire: bytes and agreement of @bitdiet/feature-codec at several targets beside float16 and 8 bits in general
 * coders and in picture formats, and beside a JPEG of the network's input. Learned on pictures that are not among those judged.
 */
import { eltTransform, pcaTransform, sampleMean, secondMoment } from "@bitdiet/dct-transform";
import { type FeatureCodec, type LinearTransform, learnFeatureCodec } from "@bitdiet/feature-codec";
import { useBackend } from "@bitdiet/zoo/training/backend";
import {
  agreement,
  type Halves,
  halvesAt,
  type Picture,
  picturesOf,
  readMobilenet,
} from "./features-network.js";
import { jpeg, type Peer, peers, type Range } from "./features-peers.js";
import { markdownTable, sourceOf } from "./report.js";
import { dataFolder } from "./sources.js";

/** Learned from are the first pictures, on which layers, rounding and targets were chosen, too; judged is the rest, which chose nothing. */
const LEARNED = 300;
const ALL = 658;
/** Layers whose output is sent: before an activation and after it. */
const LAYERS = ["conv_pw_6_bn", "conv_pw_6_relu"];
const TARGETS = [2.4, 2.2, 2, 1.6];
const JPEG_QUALITIES = [98, 95, 90, 80];
/** Maps that speeds are taken of, and how often. */
const TIMED = 40;
const ROUNDS = 20;

export interface Row {
  layer: string;
  way: string;
  bytes: number;
  same: number;
  divergence: number;
  encodeSpeed?: number;
  decodeSpeed?: number;
}

export async function run({ quick }: { quick: boolean }): Promise<unknown> {
  const folder = dataFolder();
  if (folder === undefined) {
    console.log("No models: set BITDIET_DATA to the folder that holds models/ and imagenet-val/.");
    return {};
  }
  await useBackend("wasm");
  const learned = await picturesOf(folder, 0, quick ? 60 : LEARNED);
  const judged = await picturesOf(folder, LEARNED, quick ? LEARNED + 60 : ALL);
  const whole = await readMobilenet(folder);
  const rows: Row[] = [];
  for (const layer of quick ? LAYERS.slice(0, 1) : LAYERS) {
    const halves = halvesAt(whole, layer);
    const maps = { judged: halves.features(judged), learned: halves.features(learned) };
    const original = halves.outputs(maps.judged);
    const judge = (arrived: Float32Array[]) => agreement(halves.outputs(arrived), original);
    if (rows.length === 0) rows.push(...(await jpegRows(judged, halves, original)));
    const here = [
      ...(await peerRows(maps, halves.shape, judge)),
      ...(await codecRows(layer, halves, maps, judge, quick)),
    ];
    rows.push(...here.map((row) => ({ layer, ...row })));
  }
  console.log(table(rows));
  return { ...sourceOf("features"), judged: judged.length, learned: learned.length, rows };
}

type Maps = Record<"judged" | "learned", Float32Array[]>;
type Judge = (arrived: Float32Array[]) => { same: number; divergence: number };

async function jpegRows(pictures: Picture[], halves: Halves, original: Float32Array[]): Promise<Row[]> {
  const rows: Row[] = [];
  for (const quality of JPEG_QUALITIES) {
    const sent = await Promise.all(pictures.map((picture) => jpeg(picture, quality)));
    const outputs = halves.outputs(halves.features(sent.map(({ arrived }) => arrived)));
    rows.push(
      told({
        layer: "input",
        way: `JPEG, quality ${quality}`,
        bytes: mean(sent),
        ...agreement(outputs, original),
      }),
    );
  }
  return rows;
}

async function peerRows({ judged, learned }: Maps, shape: FeatureCodec["shape"], judge: Judge) {
  const rows: Omit<Row, "layer">[] = [];
  for (const [way, send] of Object.entries(peers(rangeOf(learned), shape))) {
    const sent = await inTurn(judged, send);
    rows.push(told({ way, bytes: mean(sent), ...judge(sent.map(({ arrived }) => arrived)) }));
  }
  return rows;
}

async function codecRows(
  layer: string,
  halves: Halves,
  { judged, learned }: Maps,
  judge: Judge,
  quick: boolean,
) {
  const rows: Omit<Row, "layer">[] = [];
  const sensitivity = halves.sensitivity(learned);
  const fits: Record<string, ((pixels: Float32Array, channels: number) => LinearTransform) | undefined> = {
    ELT: (pixels, channels) => {
      const pixelMean = sampleMean(pixels, channels);
      const covariance = secondMoment(pixels, channels, pixelMean);
      const elt = eltTransform(covariance, sensitivity, { damping: 0.01 });
      return { ...elt, mean: Float32Array.from(pixelMean) };
    },
    PCA: pcaTransform,
    none: undefined,
  };
  const range = layer.endsWith("relu") ? ([0, 6] as const) : undefined;
  for (const [name, transform] of Object.entries(fits)) {
    for (const targetBits of quick ? TARGETS.slice(0, 2) : TARGETS) {
      const codec = await learnFeatureCodec(learned, { shape: halves.shape, transform, targetBits, range });
      const frames = judged.map((map) => codec.encode(map));
      const arrived = frames.map((frame) => codec.decode(frame));
      const bytes = frames.reduce((sum, { length }) => sum + length, 0) / frames.length;
      const way = `${name}, ${targetBits} bits (codec ${(codec.bytes.length / 1000).toFixed(1)} kB)`;
      rows.push(told({ way, bytes, ...judge(arrived), ...speeds(codec, judged.slice(0, TIMED)) }));
    }
  }
  return rows;
}

/** MB of float32 a second: each map in its best round, which other work on the machine rarely reaches into. */
function speeds(codec: FeatureCodec, maps: Float32Array[]): Pick<Row, "encodeSpeed" | "decodeSpeed"> {
  let [encode, decode] = [0, 0];
  for (const map of maps) {
    let [encoding, decoding] = [Infinity, Infinity];
    for (let round = 0; round < ROUNDS; round++) {
      const start = performance.now();
      const frame = codec.encode(map);
      const between = performance.now();
      codec.decode(frame);
      encoding = Math.min(encoding, between - start);
      decoding = Math.min(decoding, performance.now() - between);
    }
    encode += encoding;
    decode += decoding;
  }
  const kilobytes = (4 * maps.length * maps[0].length) / 1e3;
  return { encodeSpeed: kilobytes / encode, decodeSpeed: kilobytes / decode };
}

const mean = (sent: readonly { bytes: number }[]) =>
  sent.reduce((sum, { bytes }) => sum + bytes, 0) / sent.length;

async function inTurn(maps: readonly Float32Array[], send: Peer) {
  const sent = [];
  for (const map of maps) sent.push(await send(map));
  return sent;
}

function rangeOf(maps: readonly Float32Array[]): Range {
  let [least, greatest] = [Infinity, -Infinity];
  for (const map of maps) {
    for (const value of map) {
      least = Math.min(least, value);
      greatest = Math.max(greatest, value);
    }
  }
  return { least, greatest };
}

/** Of a long measurement, what is known so far. */
function told<R extends Omit<Row, "layer">>(row: R): R {
  console.error(
    `${row.way}: ${Math.round(row.bytes)} bytes, ${(100 * row.same).toFixed(2)} % the same, KL ${row.divergence}`,
  );
  return row;
}

const table = (rows: readonly Row[]) =>
  markdownTable(
    rows.map((row) => ({
      sent: row.layer,
      as: row.way,
      bytes: Math.round(row.bytes),
      "same answer, %": Number((100 * row.same).toFixed(1)),
      "KL, nats": Number(row.divergence.toPrecision(2)),
      "encode MB/s": row.encodeSpeed && Math.round(row.encodeSpeed),
      "decode MB/s": row.decodeSpeed && Math.round(row.decodeSpeed),
    })),
  );
