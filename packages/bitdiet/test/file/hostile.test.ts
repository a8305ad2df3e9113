import { decodeBytes, encodeBytes } from "@bitdiet/ans";
import { encodeWeights } from "@bitdiet/cabac";
import { xxHash32 } from "@bitdiet/stream";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  type CheckedPart,
  CorruptInputError,
  decodeModel,
  decodePart,
  decodeTensor,
  headerLength,
  readHeader,
} from "../../src/file/decode.js";
import {
  type EncodeOptions,
  encodeModel,
  type QuantizedSource,
  type SourceTensor,
} from "../../src/file/encode.js";
import { join, writeNumber } from "../../src/file/numbers.js";
import { type StreamItem, streamDecoder } from "../../src/loaders/stream.js";
import { everyKind, random, weight } from "../samples.js";

/** LEB128 of each number; strings as their UTF-8 bytes. */
function fieldsOf(...fields: (number | string)[]): Uint8Array {
  const bytes: number[] = [];
  for (const field of fields) {
    if (typeof field === "string") bytes.push(...new TextEncoder().encode(field));
    else writeNumber(bytes, field);
  }
  return Uint8Array.from(bytes);
}

/** A file with these very fields in its header, its hashes right. */
function forge(
  fields: Uint8Array,
  parts: Uint8Array[] = [],
  size = fields.length,
  hashes = parts.length,
  coder = 0,
): Uint8Array {
  const start = join([[0x42, 0x49, 0x54, 0x44, 1, coder], fieldsOf(hashes, size, fields.length)]);
  const words = (list: number[]) => new Uint8Array(Uint32Array.from(list).buffer);
  const rest = join([fields, words(parts.map((part) => xxHash32(part)))]);
  return join([start, words([xxHash32(rest, xxHash32(start))]), rest, ...parts]);
}

/** What is said of bytes that are made up. */
const ODD = "it contradicts itself";
/** Types as the fields have them, of lossless tensors. */
const FLOAT32 = 2;
const INT32 = 18;
const QUANTIZED_FLOAT32 = 3;
const oneStep: QuantizedSource = {
  name: "w",
  dtype: "float32",
  quantized: { ...weight([40, 30], 0, 2, 3), steps: Float32Array.of(0.5) },
};
const stored = join([[0], new Uint8Array(8)]);
const steps = Uint8Array.of(1, 0); // one step of 1
const integers = join([steps, encodeWeights(Int32Array.of(1, 0, -2, 3), { rowLength: 2 })]);

/** One tensor "w". */
const lossless = (dtype: number, shape: number[], part: Uint8Array, length = part.length) =>
  forge(fieldsOf(0, 1, 0, 1, "w", dtype, shape.length, ...shape, length), [part]);
const quantized = (
  shape: number[],
  [flags, coder]: [number, number],
  more: number[],
  part: Uint8Array,
  length = part.length,
) =>
  forge(fieldsOf(0, 1, 0, 1, "w", QUANTIZED_FLOAT32, shape.length, ...shape, flags, coder, ...more, length), [
    part,
  ]);

test("forged files are read if they do not lie", async () => {
  expect((await decodeModel(lossless(FLOAT32, [2], stored))).tensors[0].values).toEqual(new Float32Array(2));
  expect((await decodeModel(quantized([2, 2], [0, 0], [0], integers))).tensors[0].values).toEqual(
    Float32Array.of(1, 0, -2, 3),
  );
});

describe("a header that lies is refused, its hash notwithstanding:", () => {
  const good = encodeModel({
    tensors: [{ name: "w", dtype: "float32", quantized: weight([4, 5], 0, 1, 1) }],
  });
  const altered = (at: number, byte: number) => good.map((old, i) => (i === at ? byte : old));
  const huge = 2 ** 40;
  test.each<[string, Uint8Array, string]>([
    ["no bytes", new Uint8Array(0), "The header is cut"],
    ["another magic", altered(0, 1), "Not a .bitdiet file"],
    ["another version", altered(4, 2), "Version 2 of the format, not 1"],
    ["a hash of the header that does not fit", altered(9, 255 ^ good[9]), "The header is changed"],
    ["a changed field", altered(15, 1 ^ good[15]), "The header is changed"],
    [
      "a changed hash of a tensor",
      altered(readHeader(good).length - 1, 1 ^ good[readHeader(good).length - 1]),
      "The header is changed",
    ],
    ["a header longer than the file", forge(fieldsOf(0, 0), [], 2, huge), "The header is cut"],
    ["fields of more bytes than coded ones can stand for", forge(fieldsOf(0, 0), [], huge), `header: ${ODD}`],
    ["fields that go on after the last", forge(fieldsOf(0, 0, 0)), `header: ${ODD}`],
    ["a part without a hash", forge(fieldsOf(0, 1, 0, 1, "w", INT32, 1, 1, 5)), `header: ${ODD}`],
    ["a hash without a part", forge(fieldsOf(0, 0), [stored]), `header: ${ODD}`],
    [
      "more tensors than fields",
      forge(fieldsOf(0, huge, 0, 1, "w", INT32, 0, stored.length), [stored]),
      "header: header: number",
    ],
    ["a number in more bytes than it needs", forge(Uint8Array.of(0, 0x80, 0)), "header: header: number"],
    ["a name beyond the end", forge(fieldsOf(0, 1, 0, huge, "w")), ODD],
    [
      "a name that shares more than there is",
      forge(fieldsOf(0, 1, 1, 1, "w", INT32, 0, 9), [stored]),
      `header: ${ODD}`,
    ],
    [
      "one name twice",
      forge(fieldsOf(0, 2, 0, 1, "w", INT32, 1, 2, 9, 1, 0, INT32, 1, 2, 9), [stored, stored]),
      `header: ${ODD}`,
    ],
    ["an unknown type", lossless(200, [2], stored), `header: "w": ${ODD}`],
    ["1,000 axes", lossless(INT32, new Array(1000).fill(1), stored), `header: "w": ${ODD}`],
    ["2^80 elements", lossless(INT32, [huge, huge], stored), `header: "w": ${ODD}`],
    ["an axis beyond the shape", quantized([2, 2], [0, 0], [2], integers), `header: "w": ${ODD}`],
    ["an unknown flag", quantized([2, 2], [4, 0], [0], integers), `header: "w": ${ODD}`],
    [
      "a quantized tensor of 2^31 elements",
      quantized([2 ** 31], [0, 0], [0], integers),
      `header: "w": ${ODD}`,
    ],
    [
      "a quantized tensor without elements",
      quantized([0, huge], [0, 0], [1], integers),
      `header: "w": ${ODD}`,
    ],
    ["a refinement by no bits", quantized([2, 2], [2, 0], [0, 0, 0], integers), `header: "w": ${ODD}`],
    [
      "metadata of an unknown coding",
      forge(fieldsOf(1, 0, 1, "m", 9, 4, 9, 0), [stored]),
      `metadata "m": ${ODD}`,
    ],
    [
      "parts that together end beyond 2^53",
      forge(
        fieldsOf(
          0,
          16,
          ...new Array(16)
            .fill([0, 0, INT32, 0, 2 ** 49 - 1])
            .flatMap((entry, i) => [0, 1, `${i.toString(16)}`, ...entry.slice(2)]),
        ),
        new Array(16).fill(stored),
      ),
      `header: ${ODD}`,
    ],
    [
      "a part longer than the file",
      lossless(INT32, [2], stored, 10),
      `${lossless(INT32, [2], stored).length} bytes of a file of`,
    ],
    ["a part shorter than the file", lossless(INT32, [2], stored, 8), "bytes of a file of"],
  ])("%s", async (_, bytes, message) => {
    await expect(decodeModel(bytes)).rejects.toThrow(CorruptInputError);
    await expect(decodeModel(bytes)).rejects.toThrow(message);
  });
});

describe("names", () => {
  const named = (...names: Uint8Array[]) =>
    forge(
      join([
        fieldsOf(0, names.length),
        ...names.map((name) => join([fieldsOf(0, name.length), name, fieldsOf(INT32, 1, 2, stored.length)])),
      ]),
      names.map(() => stored),
    );

  test("of any length are read, and those that are no UTF-8 refused", () => {
    const long = new Uint8Array(200_000).fill(97);
    expect(readHeader(named(long)).tensors[0].name).toBe("a".repeat(200_000));
    expect(() => readHeader(named(Uint8Array.of(0xff)))).toThrow(
      new CorruptInputError("header: a name is no UTF-8"),
    );
  });

  test("that share long starts are bounded together, by the encoder as by the decoder", async () => {
    const part = fieldsOf(INT32, 1, 2, stored.length);
    const long = join([fieldsOf(0, 60_000), new Uint8Array(60_000).fill(97), part]);
    const more = Array.from({ length: 400 }, (_, i) => join([fieldsOf(60_000, 3, `${100 + i}`), part]));
    const many = forge(join([fieldsOf(0, 401), long, ...more]), new Array(401).fill(stored));
    expect(() => readHeader(many)).toThrow("names are too long");
    const tensor = { dtype: "int8" as const, shape: [0], bytes: new Uint8Array(0) };
    const tensorsOf = (count: number) =>
      Array.from({ length: count }, (_, i) => ({ ...tensor, name: "a".repeat(60_000) + i }));
    expect(() => encodeModel({ tensors: tensorsOf(401) })).toThrow("names: expected at most");
    expect((await decodeModel(encodeModel({ tensors: tensorsOf(20) }))).tensors.length).toBe(20);
    expect(() => encodeModel({ tensors: [{ ...tensor, name: "\ud800" }] })).toThrow(
      "expected names of whole",
    );
  });
});

describe("a tensor that is not what its entry says is refused, its hash notwithstanding:", () => {
  const gigabytes = 2.5 * 2 ** 30;
  const manyZeros = encodeWeights(new Int32Array(100_000), { rowLength: 1000 });
  test.each<[string, Uint8Array, string]>([
    [
      "10 GB of float32 in a few bytes",
      lossless(FLOAT32, [gigabytes], stored),
      `"w": ${4 * gigabytes} bytes claimed so far, maxBytes is`,
    ],
    [
      "8 GB of integers",
      quantized([2 ** 29 - 1, 4], [0, 0], [0], integers),
      `"w": ${2 ** 33 - 16} bytes claimed so far, maxBytes is`,
    ],
    [
      "8 GB of pruned slices",
      quantized([2 ** 29 - 1, 4], [0, 0], [0], Uint8Array.of(129, 0)),
      `"w": ${2 ** 33 - 16} bytes claimed so far, maxBytes is`,
    ],
    [
      "more integers than the bytes can stand for",
      quantized([100, 160_000], [0, 0], [0], integers),
      'tensor "w": payload: end',
    ],
    ["fewer integers", quantized([2, 1], [0, 0], [0], integers), 'tensor "w": '],
    ["more integers", quantized([3, 100], [0, 0], [0], integers), 'tensor "w": '],
    ["rows of another length", quantized([10, 100], [0, 0], [0], join([steps, manyZeros])), 'tensor "w": '],
    ["integers of another coder", quantized([2, 2], [0, 1], [0], integers), 'tensor "w": '],
    ["bytes after the integers", quantized([2, 2], [0, 0], [0], join([integers, [1]])), 'tensor "w": '],
    [
      "integers for pruned slices",
      quantized([2, 2], [0, 0], [0], join([[129, 0], [1]])),
      `tensor "w": ${ODD}`,
    ],
    ["an unknown grid", quantized([2, 2], [0, 0], [0], Uint8Array.of(9, 0)), `tensor "w": ${ODD}`],
    [
      "a step that is off its grid",
      quantized([2, 2], [0, 0], [0], Uint8Array.of(1, 0xff, 0x7f)),
      `tensor "w": ${ODD}`,
    ],
    [
      "a step that is no number",
      quantized([2, 2], [0, 0], [0], Uint8Array.of(0, 0, 0, 0xc0, 0x7f)),
      `tensor "w": ${ODD}`,
    ],
    ["no steps", quantized([2, 2], [0, 0], [0], new Uint8Array(0)), ODD],
    [
      "a step for each of many slices, in no bytes",
      quantized([1_000_000], [1, 0], [0], Uint8Array.of(1, 0, 1, 0)),
      'tensor "w": weights: length',
    ],
    ["elements that are missing", lossless(INT32, [3], stored), ODD],
    ["elements that are too many", lossless(INT32, [1], stored), `tensor "w": ${ODD}`],
    ["an unknown lossless coding", lossless(INT32, [2], join([[2], stored])), `tensor "w": ${ODD}`],
    ["planes that are missing", lossless(INT32, [2], Uint8Array.of(4, 0, 0)), 'tensor "w": header: number'],
  ])("%s", async (_, bytes, message) => {
    const decoded = async () => decodeTensor(bytes, readHeader(bytes).tensors[0]);
    await expect(decoded()).rejects.toThrow(CorruptInputError);
    await expect(decoded()).rejects.toThrow(message);
    await expect(decodeModel(bytes)).rejects.toThrow(CorruptInputError);
  });

  test("what a header claims is not allocated", async () => {
    const liars = [
      lossless(FLOAT32, [2 ** 32], Uint8Array.of(1, 2, 0, 0)),
      quantized([2 ** 31 - 1], [0, 0], [0], integers),
    ];
    const before = process.memoryUsage();
    for (const bytes of liars)
      await expect(decodeModel(bytes, { maxBytes: Infinity, maxSeconds: Infinity })).rejects.toThrow(
        CorruptInputError,
      );
    expect(process.memoryUsage().arrayBuffers - before.arrayBuffers).toBeLessThan(2 ** 24);
  });

  test("a limit of the caller's holds for the tensor, and for all together", async () => {
    const quantized = weight([100, 10], 0, 1, 1);
    const bytes = encodeModel({ tensors: ["a", "b"].map((name) => ({ name, dtype: "float32", quantized })) });
    const message = '"b": 8000 bytes claimed so far, maxBytes is 7999';
    await expect(decodeModel(bytes, { maxBytes: 7999 })).rejects.toThrow(message);
    expect((await decodeModel(bytes, { maxBytes: 8000 })).tensors.length).toBe(2);
    await expect(streamDecoder({ maxBytes: 7999 }).push(bytes)).rejects.toThrow(message);
    await expect(decodeModel(bytes, { maxSeconds: 2e-5 })).rejects.toThrow(
      /^"a": up to .* maxSeconds is 0.00002$/,
    );
    await expect(decodeModel(bytes, { maxSeconds: 1e-6 })).rejects.toThrow(
      /^header: fields: up to .* maxSeconds is 0.000001$/,
    );
  });

  test.each<[string, SourceTensor, EncodeOptions]>([
    ["by cabac", oneStep, { minGain: 0 }],
    ["by ans", oneStep, { minGain: 1 }],
    ["a step a row", { ...oneStep, quantized: weight([40, 30], 0, 1, 3) }, {}],
    ["refined", { ...oneStep, quantized: weight([40, 30], 1, 300, 3) }, { progressive: true }],
    ["lossless", { name: "w", dtype: "int32", shape: [200], bytes: new Uint8Array(800).fill(7) }, {}],
  ])("work is counted as FORMAT.md says: %s", (_, tensor, options) => {
    const bytes = encodeModel({ tensors: [tensor] }, options);
    const [entry] = readHeader(bytes).tensors;
    // One tensor of one letter: fields that nothing packs.
    const fields = bytes[7];
    const start = (length: number) => 3000 * Math.min(256, length);
    let work =
      50 * entry.size + Math.min(100 * entry.size, 3000 * entry.part.length) + start(entry.part.length);
    if (entry.quantized) {
      const { perRow, coder, refinement, axis } = entry.quantized;
      const list = (number: number, length: number) =>
        (entry.size / 4) * [190, 80, 130][number] +
        length * [400, 10, 50][number] +
        400 * entry.shape[axis] +
        start(length);
      work = list(coder, entry.part.length);
      if (perRow) work += 700 * entry.shape[axis] + 50 * entry.part.length;
      const more = entry.refinementPart?.length ?? 0;
      if (refinement) work = 2 * work + list(refinement.coder, more);
    }
    const seconds = (work + 600 * fields) / 1e9;
    expect(readHeader(bytes, { maxSeconds: seconds * (1 + 1e-9) }).tensors.length).toBe(1);
    expect(() => readHeader(bytes, { maxSeconds: seconds * (1 - 1e-9) })).toThrow("seconds of work so far");
  });

  test("names and entries are no way around the limit of bytes", async () => {
    const empty = { dtype: "int8", shape: [0], bytes: new Uint8Array(0) } as const;
    const tensors = Array.from({ length: 40_000 }, (_, i) => ({ ...empty, name: i.toString(36) }));
    const bytes = encodeModel({ tensors });
    expect((await decodeModel(bytes)).tensors.length).toBe(40_000);
    await expect(decodeModel(bytes, { maxBytes: 1000 })).rejects.toThrow(
      "header: more names than maxBytes leaves room for",
    );
  });

  test("a table that is larger than its bytes are worth is refused", () => {
    const bytes = new Uint8Array(64).map((_, i) => i % 3);
    const coded = encodeBytes(bytes);
    expect(decodeBytes(coded, 64)).toEqual(bytes);
    // The same table log, 9, of the first four bits, one more: as much as 2,048 bytes are worth.
    const larger = coded.slice();
    larger[0] = (larger[0] & 0xf0) | 10;
    expect(() => decodeBytes(larger, 2047)).toThrow("header: number");
    expect(() => decodeBytes(larger, 2048)).not.toThrow("header: number");
  });
});

describe("an encoder writes nothing that its decoder refuses", () => {
  const of = (shape: unknown) => ({ name: "w", dtype: "int8", shape, bytes: new Uint8Array(2) }) as never;
  test.each([
    ["a negative extent", [-1, -2]],
    ["a part of an extent", [0.5, 4]],
    ["an extent of text", ["2"]],
    // biome-ignore lint/suspicious/noSparseArray: what is tried
    ["a hole", [, 2]],
    ["an extent that no number of the format is", [2 ** 49, 0]],
    ["no list", "2"],
  ])("%s", (_, shape) => {
    expect(() => encodeModel({ tensors: [of(shape)] })).toThrow("shape: expected whole numbers below 2^49");
  });

  test("an integer without a negative, in one part and in two", () => {
    const quantized = { ...weight([2, 2], 0, 1, 1), integers: Int32Array.of(-(2 ** 31), 0, 1, 2) };
    for (const progressive of [false, true])
      expect(() =>
        encodeModel({ tensors: [{ name: "w", dtype: "float32", quantized }] }, { progressive }),
      ).toThrow('tensor "w": integers: expected -(2^31 - 1) to 2^31 - 1, got -2^31 at index 0');
  });

  test.each([NaN, -1, 2])("a gain of %d, for which no coder would do", (minGain) => {
    expect(() => encodeModel({ tensors: [oneStep] }, { minGain })).toThrow(
      `minGain: expected a share of 0 to 1, got ${minGain}`,
    );
  });
});

describe("a damaged file", () => {
  const bytes = encodeModel(everyKind());
  const header = readHeader(bytes);

  test("is refused wherever it is cut, and with bytes behind it", async () => {
    for (let length = 0; length < bytes.length; length += 1 + (length > header.length ? 40 : 4))
      await expect(decodeModel(bytes.subarray(0, length))).rejects.toThrow(CorruptInputError);
    await expect(decodeModel(join([bytes, [0]]))).rejects.toThrow(CorruptInputError);
  });

  test("is refused whichever bit is wrong", async () => {
    const next = random(1);
    for (let i = 0; i < 300; i++) {
      const at = Math.floor(next() * bytes.length);
      const changed = bytes.slice();
      changed[at] ^= 1 << Math.floor(8 * next());
      await expect(decodeModel(changed)).rejects.toThrow(CorruptInputError);
    }
  });

  test("gives all tensors but the one that is damaged", async () => {
    const { part } = header.tensors[3];
    const changed = bytes.slice();
    changed[part.start + 5] ^= 4;
    for (const [i, entry] of header.tensors.entries()) {
      if (i === 3)
        await expect(decodeTensor(changed, entry)).rejects.toThrow(
          new CorruptInputError('tensor "depthwise": it is cut or changed'),
        );
      else expect(await decodeTensor(changed, entry)).toEqual(await decodeTensor(bytes, entry));
    }
  });

  test("names bytes that are none", async () => {
    expect(() => readHeader("BITD" as unknown as Uint8Array)).toThrow(
      new TypeError("bytes: expected a Uint8Array, got string"),
    );
    await expect(streamDecoder().push("BITD" as unknown as Uint8Array)).rejects.toThrow(
      new TypeError("chunk: expected a Uint8Array, got string"),
    );
  });
});

describe("a tensor alone", () => {
  test("is decoded from its own bytes, found by the first bytes of the file", async () => {
    const bytes = encodeModel(everyKind());
    const length = headerLength(bytes.subarray(0, 26)) as number;
    expect(headerLength(bytes.subarray(0, 4))).toBeUndefined();
    const header = readHeader(bytes.slice(0, length));
    expect(header).toEqual(readHeader(bytes));
    const whole = (await decodeModel(bytes)).tensors;
    for (const [i, entry] of header.tensors.entries()) {
      const [part, refinement] = [entry.part, entry.refinementPart].map(
        (range) => range && bytes.slice(range.start, range.start + range.length),
      );
      expect(
        await decodePart(structuredClone(entry), part as CheckedPart, refinement as CheckedPart | undefined),
      ).toEqual(whole[i]);
    }
  });
});

describe("streamDecoder()", async () => {
  const bytes = encodeModel(everyKind());
  const whole = await decodeModel(bytes);
  const inChunks = async (lengths: number[]): Promise<StreamItem[]> => {
    const decoder = streamDecoder();
    const items: StreamItem[] = [];
    for (let at = 0, i = 0; at < bytes.length; i++) {
      const length = lengths[i % lengths.length];
      items.push(...(await decoder.push(bytes.slice(at, at + length))));
      at += length;
    }
    decoder.end();
    return items;
  };

  test("gives the same as decodeModel, however the file is cut into chunks", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 0, max: 600 }), { minLength: 1, maxLength: 20 }),
        async (lengths) => {
          const items = await inChunks([1, ...lengths]);
          expect(items[0]).toEqual({ header: readHeader(bytes) });
          expect(items.flatMap((item) => ("metadata" in item ? item.metadata : []))).toEqual(whole.metadata);
          const tensors = items.flatMap((item) => ("tensor" in item ? item : []));
          const byName = new Map(
            tensors.filter(({ isFinal }) => isFinal).map(({ tensor }) => [tensor.name, tensor]),
          );
          expect(whole.tensors.map(({ name }) => byName.get(name))).toEqual(whole.tensors);
          expect(tensors.filter(({ isFinal }) => !isFinal).map(({ tensor }) => tensor.name)).toEqual([
            "dense",
          ]);
          expect(tensors.at(-1)?.tensor.name).toBe("dense");
        },
      ),
      { numRuns: 20 },
    );
  });

  test("gives each tensor as soon as its last byte is there", async () => {
    const decoder = streamDecoder();
    const { tensors } = readHeader(bytes);
    const { start, length } = tensors[0].part;
    const before = await decoder.push(bytes.subarray(0, start + length - 1));
    expect(before.some((item) => "tensor" in item)).toBe(false);
    expect(await decoder.push(bytes.subarray(start + length - 1, start + length))).toEqual([
      { tensor: whole.tensors[0], isFinal: true },
    ]);
  });

  test("says at the end that the file is cut, or goes on", async () => {
    const cut = streamDecoder();
    await cut.push(bytes.subarray(0, bytes.length - 1));
    expect(() => cut.end()).toThrow(new CorruptInputError("The file is cut"));
    const long = streamDecoder();
    await long.push(join([bytes, [1, 2]]));
    expect(() => long.end()).toThrow(new CorruptInputError("2 bytes follow the end of the file"));
    expect(() => streamDecoder().end()).toThrow(new CorruptInputError("The file is cut"));
  });
});
