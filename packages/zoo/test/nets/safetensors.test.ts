import { mkdtemp, readdir, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { readCheckpoint, writeCheckpoint } from "../../src/nets/checkpoint-file.js";
import {
  readSafetensors,
  type SafetensorEntry,
  SafetensorsError,
  writeSafetensors,
} from "../../src/nets/safetensors.js";

/** A file from a header and data, as an attacker or a broken disk would write it. */
function file(header: unknown, data: number[] | Uint8Array = [], claimed?: bigint): Uint8Array {
  const json = typeof header === "string" ? header : JSON.stringify(header);
  const encoded = new TextEncoder().encode(json);
  const bytes = new Uint8Array(8 + encoded.length + data.length);
  new DataView(bytes.buffer).setBigUint64(0, claimed ?? BigInt(encoded.length), true);
  bytes.set(encoded, 8);
  bytes.set(data, 8 + encoded.length);
  return bytes;
}

const entry = (dtype: string, shape: number[], begin: number, end: number) => ({
  dtype,
  shape,
  data_offsets: [begin, end],
});

describe("reading", () => {
  it("reads a file byte by byte as the format says", () => {
    const { tensors, metadata } = readSafetensors(
      file(
        { __metadata__: { format: "pt" }, a: entry("F32", [2, 1], 0, 8), b: entry("I64", [], 8, 16) },
        [0, 0, 0x80, 0x3f, 0, 0, 0x20, 0xc0, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
      ),
    );
    expect(metadata).toEqual({ format: "pt" });
    expect(tensors["a"]).toEqual({ dtype: "F32", shape: [2, 1], values: Float32Array.of(1, -2.5) });
    expect(tensors["b"]).toEqual({ dtype: "I64", shape: [], values: BigInt64Array.of(-2n) });
  });

  it("widens half and bfloat16 values, subnormals and infinities included", () => {
    const half = [0x3c00, 0xc000, 0x7bff, 0x0001, 0x03ff, 0x7c00, 0x8000].flatMap((h) => [h & 255, h >> 8]);
    const brain = [0x3f80, 0xc049, 0x7f80].flatMap((h) => [h & 255, h >> 8]);
    const { tensors } = readSafetensors(
      file({ h: entry("F16", [7], 0, 14), b: entry("BF16", [3], 14, 20) }, [...half, ...brain]),
    );
    expect(tensors["h"]!.values).toEqual(
      Float32Array.of(1, -2, 65504, 2 ** -24, 1023 * 2 ** -24, Number.POSITIVE_INFINITY, -0),
    );
    expect(tensors["b"]!.values).toEqual(Float32Array.of(1, -3.140625, Number.POSITIVE_INFINITY));
  });

  it("keeps a tensor called __proto__ an ordinary tensor", () => {
    const { tensors } = readSafetensors(
      file(`{"__proto__":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}`, [7]),
    );
    expect(Object.entries(tensors).map(([name, { values }]) => [name, values[0]])).toEqual([
      ["__proto__", 7],
    ]);
    expect(Object.getPrototypeOf(tensors)).toBe(Object.prototype);
  });

  const a = entry("U8", [2], 0, 2);
  const malformed: [string, Uint8Array, RegExp][] = [
    ["fewer than 8 bytes", new Uint8Array(7), /at least 8 bytes/],
    ["a header beyond the end", file({ a }, [1, 2], 1000n), /claims 1000 bytes/],
    ["a header of 2^60 bytes", file({ a }, [1, 2], 2n ** 60n), /claims 1152921504606846976/],
    ["a header that is not JSON", file("{oops"), /not JSON/],
    ["a header that is not UTF-8", new Uint8Array([1, 0, 0, 0, 0, 0, 0, 0, 0xff]), /not JSON/],
    ["a header that is an array", file([]), /not a JSON object/],
    ["metadata that is not strings", file({ __metadata__: { epoch: 3 } }), /__metadata__/],
    ["an unknown dtype", file({ a: entry("F8_E4M3", [2], 0, 2) }, [1, 2]), /"a" has dtype "F8_E4M3"/],
    ["a dtype inherited from Object", file({ a: entry("constructor", [2], 0, 2) }, [1, 2]), /"a" has dtype/],
    ["a negative size", file({ a: entry("U8", [-2], 0, 2) }, [1, 2]), /"a" has shape/],
    ["a fractional size", file({ a: entry("U8", [1.5], 0, 2) }, [1, 2]), /"a" has shape/],
    ["no offsets", file({ a: { dtype: "U8", shape: [2] } }, [1, 2]), /"a" has data_offsets undefined/],
    ["offsets in the wrong order", file({ a: entry("U8", [2], 2, 0) }, [1, 2]), /begin <= end/],
    [
      "a size that disagrees with the shape",
      file({ a: entry("F32", [2], 0, 4) }, [0, 0, 0, 0]),
      /is 8 bytes.*span 4/,
    ],
    ["a shape whose product overflows", file({ a: entry("U8", [2 ** 40, 2 ** 40], 0, 2) }, [1, 2]), /span 2/],
    ["missing data", file({ a: entry("U8", [4], 0, 4) }, [1, 2, 3]), /"a" ends at byte 4.*truncated/],
    ["data left over", file({ a }, [1, 2, 3]), /end at byte 2.*file at 3/],
    ["overlapping tensors", file({ a, b: entry("U8", [2], 1, 3) }, [1, 2, 3]), /"b" overlaps/],
    ["a hole", file({ a, b: entry("U8", [1], 3, 4) }, [1, 2, 3, 4]), /Bytes 2 to 3.*"b"/],
    [
      "a name given twice",
      file(`{"a":${JSON.stringify(a)},"a":${JSON.stringify(entry("U8", [2], 2, 4))}}`, [1, 2, 3, 4]),
      /belong to none/,
    ],
  ];
  for (const [title, bytes, message] of malformed) {
    it(`refuses ${title}`, () => {
      expect(() => readSafetensors(bytes)).toThrow(SafetensorsError);
      expect(() => readSafetensors(bytes)).toThrow(message);
    });
  }

  it("never throws anything but SafetensorsError, whatever bytes are changed or cut", () => {
    const whole = writeSafetensors(
      { a: { dtype: "F32", shape: [3], values: Float32Array.of(1, 2, 3) } },
      { k: "v" },
    );
    fc.assert(
      fc.property(fc.nat(whole.length - 1), fc.nat(255), fc.nat(whole.length), (position, byte, length) => {
        const bytes = whole.slice(0, length);
        if (position < length) bytes[position] = byte;
        try {
          readSafetensors(bytes);
        } catch (error) {
          expect(error).toBeInstanceOf(SafetensorsError);
        }
      }),
      { numRuns: 2000 },
    );
  });
});

describe("writing", () => {
  it("gives back every type and shape, in views that are aligned", () => {
    const tensors: Record<string, SafetensorEntry> = {
      byte: { dtype: "U8", shape: [3], values: Uint8Array.of(1, 2, 255) },
      flag: { dtype: "BOOL", shape: [1], values: Uint8Array.of(1) },
      long: { dtype: "I64", shape: [2], values: BigInt64Array.of(-5n, 2n ** 62n) },
      half: { dtype: "F16", shape: [1, 2], values: Float32Array.of(0.5, -65504) },
      brain: { dtype: "BF16", shape: [2, 1], values: Float32Array.of(1.5, -256) },
      float: { dtype: "F32", shape: [], values: Float32Array.of(Math.fround(0.1)) },
      double: { dtype: "F64", shape: [1, 1, 1], values: Float64Array.of(Math.PI) },
      empty: { dtype: "I32", shape: [0, 4], values: new Int32Array() },
    };
    const bytes = writeSafetensors(tensors, { format: "pt" });
    const back = readSafetensors(bytes);
    expect(back).toEqual({ tensors, metadata: { format: "pt" } });
    expect(back.tensors["double"]!.values.buffer).toBe(bytes.buffer);
  });

  it("rounds to half precision to nearest even, as IEEE 754 does", () => {
    const values = Float32Array.of(
      1 + 2 ** -11,
      1 + 3 * 2 ** -11,
      65519.996,
      65520,
      2 ** -25,
      3 * 2 ** -26,
      Number.NaN,
      1e-10,
      -2047.4,
    );
    const { tensors } = readSafetensors(writeSafetensors({ a: { dtype: "F16", shape: [9], values } }));
    expect(tensors["a"]!.values).toEqual(
      Float32Array.of(1, 1 + 2 ** -9, 65504, Number.POSITIVE_INFINITY, 0, 2 ** -24, Number.NaN, 0, -2047),
    );
  });

  it("rounds to bfloat16 to nearest even and keeps NaN", () => {
    const values = Float32Array.of(1 + 2 ** -8, 1 + 3 * 2 ** -8, Number.NaN, Math.PI, 3.4e38);
    const { tensors } = readSafetensors(writeSafetensors({ a: { dtype: "BF16", shape: [5], values } }));
    expect(tensors["a"]!.values).toEqual(
      Float32Array.of(1, 1 + 2 ** -6, Number.NaN, 3.140625, Number.POSITIVE_INFINITY),
    );
  });

  it("round-trips every half value", () => {
    const every = Uint16Array.from({ length: 65536 }, (_, i) => i).filter(
      (h) => (h & 0x7c00) !== 0x7c00 || (h & 0x3ff) === 0,
    );
    const bytes = file(
      { a: entry("F16", [every.length], 0, 2 * every.length) },
      new Uint8Array(every.buffer),
    );
    const { tensors } = readSafetensors(bytes);
    const again = writeSafetensors(tensors);
    expect(new Uint16Array(again.slice(again.length - 2 * every.length).buffer)).toEqual(every);
  });

  it("refuses values that do not fit shape, type or name", () => {
    const values = Float32Array.of(1, 2);
    expect(() => writeSafetensors({ a: { dtype: "F32", shape: [3], values } })).toThrow(
      /"a".*needs 3 values, got 2/,
    );
    expect(() => writeSafetensors({ a: { dtype: "I32", shape: [2], values } })).toThrow(TypeError);
    expect(() => writeSafetensors({ __metadata__: { dtype: "F32", shape: [2], values } })).toThrow(
      /reserved/,
    );
  });
});

describe("checkpoint files", () => {
  it("are written whole and read back; a broken one is named", async () => {
    const folder = await mkdtemp(join(tmpdir(), "bitdiet-"));
    const path = join(folder, "deep", "model.safetensors");
    const tensors: Record<string, SafetensorEntry> = {
      a: { dtype: "F32", shape: [1], values: Float32Array.of(4) },
    };
    await writeCheckpoint(path, tensors, { step: "7" });
    expect(await readCheckpoint(path)).toEqual({ tensors, metadata: { step: "7" } });
    expect(await readdir(join(folder, "deep"))).toEqual(["model.safetensors"]);
    await writeFile(path, "short");
    await expect(readCheckpoint(path)).rejects.toThrow(`${path}: A safetensors file has at least 8 bytes`);
  });
});
