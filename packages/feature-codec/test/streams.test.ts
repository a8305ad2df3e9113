import { describe, expect, it } from "vitest";
import { CorruptInputError, frameDecoder, frameEncoder, learnFeatureCodec } from "../src/index.js";
import { film, type ShapeOf } from "./sources.js";

const shape: ShapeOf = [12, 10, 8];
const frames = Array.from({ length: 12 }, (_, time) => film(time >> 2, shape));
const codec = await learnFeatureCodec(frames, { shape, targetBits: 2 });

async function all<T>(stream: ReadableStream<T>): Promise<T[]> {
  const list: T[] = [];
  for await (const value of stream as unknown as AsyncIterable<T>) list.push(value);
  return list;
}
const from = <T>(list: readonly T[]) =>
  new ReadableStream<T>({
    start(controller) {
      for (const value of list) controller.enqueue(value);
      controller.close();
    },
  });
const encoded = (keyEvery: number) => all(from(frames).pipeThrough(frameEncoder(codec, { keyEvery })));
const decoded = (chunks: Uint8Array[]) => all(from(chunks).pipeThrough(frameDecoder(codec)));

describe("frames over a stream", () => {
  it("arrive as they are decoded one by one, wherever the chunks are cut", async () => {
    const chunks = await encoded(1);
    expect(chunks).toHaveLength(frames.length);
    const bytes = Uint8Array.from(chunks.flatMap((chunk) => Array.from(chunk)));
    const expected = frames.map((frame) => codec.decode(codec.encode(frame)));
    for (const size of [1, 7, 1000, bytes.length]) {
      const cut = Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) =>
        bytes.subarray(i * size, (i + 1) * size),
      );
      expect(await decoded(cut)).toEqual(expected);
    }
  });

  it("are shorter predicted from the frame before, and stay as close", async () => {
    const total = (chunks: Uint8Array[]) => chunks.reduce((sum, { length }) => sum + length, 0);
    const [alone, predicted] = [await encoded(1), await encoded(6)];
    expect(total(predicted)).toBeLessThan(0.6 * total(alone));
    expect(predicted[6]).toEqual(alone[6]);
    const error = async (chunks: Uint8Array[]) =>
      (await decoded(chunks)).reduce(
        (sum, values, i) => sum + values.reduce((s, value, j) => s + (value - frames[i][j]) ** 2, 0),
        0,
      );
    expect(await error(predicted)).toBeLessThan(1.2 * (await error(alone)));
  });

  it("end with an error where they are cut short, and where a length is too large", async () => {
    const chunks = await encoded(1);
    await expect(decoded([chunks[0].subarray(0, 20)])).rejects.toThrow(CorruptInputError);
    await expect(decoded([Uint8Array.of(0xff, 0xff, 0xff, 0x7f, 1, 2)])).rejects.toThrow(
      /a frame of \d+ bytes/,
    );
    await expect(decoded([new Uint8Array(9).fill(0xff)])).rejects.toThrow(/stream: length/);
    await expect(decoded([Uint8Array.of(0)])).rejects.toThrow(/a frame of 0 bytes/);
  });
});
