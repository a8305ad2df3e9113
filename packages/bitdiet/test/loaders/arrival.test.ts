import { describe, expect, test } from "vitest";
import { CorruptInputError, type DecodeLimits, decodeModel, readHeader } from "../../src/file/decode.js";
import { encodeModel } from "../../src/file/encode.js";
import { fetchBitdiet } from "../../src/loaders/fetch.js";
import { openBitdiet } from "../../src/loaders/open.js";
import { openSource } from "../../src/loaders/source.js";
import { streamDecoder } from "../../src/loaders/stream.js";
import { everyKind, weight } from "../samples.js";

const format = { name: "format", bytes: new TextEncoder().encode("onnx") };
const { tensors, metadata = [] } = everyKind();
const file = encodeModel({ tensors, metadata: [format, ...metadata] });

/** 160 MB of equal values. */
const integers = new Int32Array(2 ** 20).fill(2);
const many = encodeModel(
  {
    metadata: [format],
    tensors: Array.from({ length: 40 }, (_, i) => ({
      name: `w${i}`,
      dtype: "float32" as const,
      // Not quite equal ones.
      quantized: { shape: [2 ** 20], integers, axis: 0, steps: Float32Array.of(2 ** -i) },
    })),
  },
  { minGain: 1 },
);

/** Everything that a loader gives out. */
const loaders: [string, (bytes: Uint8Array, limits?: DecodeLimits) => Promise<number>][] = [
  ["decodeModel", async (bytes, limits) => (await decodeModel(bytes, limits)).tensors.length],
  [
    "streamDecoder",
    async (bytes, limits) => {
      const decoder = streamDecoder(limits);
      const items = await decoder.push(bytes);
      decoder.end();
      return items.length;
    },
  ],
  [
    "fetchBitdiet",
    async (bytes, limits) => {
      let count = 0;
      for await (const _ of (await fetchBitdiet(bytes, limits)).tensors) count++;
      return count;
    },
  ],
  [
    "openBitdiet",
    async (bytes, limits) => {
      const { model } = await openBitdiet(await openSource(bytes), limits);
      for (const tensor of model.tensors) await tensor.bytes();
      return model.tensors.length;
    },
  ],
];

describe.each(loaders)("%s", (_, load) => {
  test("refuses bytes behind the end of a file, and a file that is cut", async () => {
    expect(await load(file)).toBeGreaterThan(0);
    await expect(load(Uint8Array.of(...file, 0))).rejects.toThrow(CorruptInputError);
    await expect(load(file.subarray(0, -1))).rejects.toThrow(CorruptInputError);
  });

  test("counts what all tensors together become, before it decodes the first", async () => {
    const total = [...readHeader(file).tensors, ...readHeader(file).metadata].reduce(
      (sum, entry) => sum + entry.size,
      0,
    );
    await load(file, { maxBytes: total });
    await expect(load(file, { maxBytes: total - 1 })).rejects.toThrow("bytes claimed so far");
  });

  test.each([NaN, -1, "1e9"])("refuses a limit that is none: %j", async (limit) => {
    const message = `: expected a number of at least 0, got ${limit}`;
    await expect(load(file, { maxBytes: limit as number })).rejects.toThrow(`maxBytes${message}`);
    await expect(load(file, { maxSeconds: limit as number })).rejects.toThrow(RangeError);
  });

  test("refuses by default a few bytes that stand for very many in all tensors together", async () => {
    expect(many.length).toBeLessThan(2000);
    await expect(load(many)).rejects.toThrow(/so far, max(Bytes|Seconds) is/);
  });
});

/** A server that sends a damaged byte so many times; notes which of its bodies are still open. */
function served(bytes: Uint8Array, at: number, times: number) {
  const open: boolean[] = [];
  const fetchFunc = (async (_: unknown, init?: RequestInit) => {
    const range = /bytes=(\d+)-(\d*)/.exec(new Headers(init?.headers).get("Range") ?? "");
    const start = Number(range?.[1] ?? 0);
    const end = range?.[2] ? Number(range[2]) + 1 : bytes.length;
    const given = bytes.slice();
    if (open.length < times) given[at] ^= 1;
    const index = open.push(true) - 1;
    let from = start;
    const body = new ReadableStream<Uint8Array>(
      {
        pull(controller) {
          if (from >= end) {
            open[index] = false;
            controller.close();
            return;
          }
          controller.enqueue(given.slice(from, Math.min(end, from + 100)));
          from += 100;
        },
        cancel() {
          open[index] = false;
        },
      },
      { highWaterMark: 0 },
    );
    return new Response(body, {
      status: range ? 206 : 200,
      headers: range ? { "Content-Range": `bytes ${start}-${end - 1}/${bytes.length}` } : {},
    });
  }) as typeof fetch;
  return { open, arriving: () => fetchBitdiet("http://localhost/m.bitdiet", { fetchFunc }) };
}

async function load({ arriving }: ReturnType<typeof served>) {
  const tensors = [];
  for await (const tensor of (await arriving()).tensors) tensors.push(tensor);
  return tensors;
}

describe("fetchBitdiet(source)", () => {
  test("asks once more for what came damaged, header or part, and closes all that it opened", async () => {
    const expected = await load(served(file, 0, 0));
    for (const at of [0, 9, 40, file.length - 10]) {
      const once = served(file, at, 1);
      expect(await load(once)).toEqual(expected);
      expect(once.open).toEqual([false, false]);
      const twice = served(file, at, 2);
      await expect(load(twice)).rejects.toThrow(CorruptInputError);
      expect(twice.open).toEqual([false, false]);
    }
  });

  test("closes the source when nobody wants the tensors, or no more of them", async () => {
    const unwanted = served(file, 0, 0);
    await (await unwanted.arriving()).close();
    expect(unwanted.open).toEqual([false]);
    const first = served(file, 0, 0);
    for await (const _ of (await first.arriving()).tensors) break;
    expect(first.open).toEqual([false]);
  });

  test("gives tensors that are stored once to all who have them, in order", async () => {
    const quantized = weight([8, 9], 0, 2, 1);
    const names = ["a", "b", "c", "d"];
    const equal = encodeModel({
      tensors: names.map((name) => ({
        name,
        dtype: "float32" as const,
        quantized: name === "c" ? weight([8, 9], 0, 2, 2) : quantized,
        refinementBits: 1,
      })),
    });
    expect(readHeader(equal).tensors.map(({ same }) => same)).toEqual([undefined, 0, undefined, 0]);
    const loaded = await load(served(equal, 0, 0));
    const whole = (await decodeModel(equal)).tensors;
    expect(new Map(loaded.map((tensor) => [tensor.name, tensor]))).toEqual(
      new Map(whole.map((tensor) => [tensor.name, tensor])),
    );
    expect(whole[3].values).toEqual(whole[0].values);
  });
});
