/** The decoder that engines without WebAssembly get. */
import fc from "fast-check";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { CorruptInputError, encodeWeights } from "../src/index.js";

type Decoders = typeof import("../src/weights-decode.js");
let [bySimd, plainly]: Decoders[] = [];

beforeAll(async () => {
  bySimd = await import("../src/weights-decode.js");
  expect(await decodesByWasm()).toBe(true);
  vi.resetModules();
  vi.stubGlobal("WebAssembly", undefined);
  plainly = await import("../src/weights-decode.js");
  expect(await decodesByWasm()).toBe(false);
});
afterAll(() => void vi.unstubAllGlobals());

async function decodesByWasm(): Promise<boolean> {
  const [{ decodeByWasm }, { readStart }] = await Promise.all([
    import("../src/weights-decode-by-wasm.js"),
    import("../src/weights-decode.js"),
  ]);
  const shape = { rowLength: 3, height: 1, width: 1 };
  return decodeByWasm(readStart(encodeWeights(Int32Array.of(1, 2, 3)), 3, shape)) !== undefined;
}

const shapes = fc.record({
  rows: fc.integer({ min: 1, max: 11 }),
  kernels: fc.oneof(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 400, max: 2600 })),
  kernel: fc.constantFrom([1, 1], [3, 3], [1, 3], [5, 5], [1, 7], [50, 50]) as fc.Arbitrary<[number, number]>,
  scale: fc.constantFrom(0.02, 1, 10, 300, 1e5, 1e8),
  seed: fc.nat(),
});

function coded({
  rows,
  kernels,
  kernel,
  scale,
  seed,
}: typeof shapes extends fc.Arbitrary<infer T> ? T : never) {
  const rowLength = Math.min(kernels, 20_000 / (kernel[0] * kernel[1])) | 0 || 1;
  const shape = { rowLength: rowLength * kernel[0] * kernel[1], kernel };
  let state = seed;
  const next = () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32;
  const integers = Int32Array.from({ length: rows * shape.rowLength }, () =>
    Math.round(scale * Math.log(next() + 1e-9) * (next() - 0.5)),
  );
  return { integers, shape, bytes: encodeWeights(integers, shape) };
}

/** What a decoder makes of bytes, to be compared. */
function outcome(decoders: Decoders, bytes: Uint8Array, count: number, shape: object): Int32Array | string {
  try {
    return decoders.decodeWeights(bytes, count, shape);
  } catch (error) {
    expect(error).toBeInstanceOf(CorruptInputError);
    return "corrupt";
  }
}

test("gives the values that the other gives", () => {
  fc.assert(
    fc.property(shapes, (some) => {
      const { integers, shape, bytes } = coded(some);
      expect(
        Buffer.compare(bytesOf(plainly.decodeWeights(bytes, integers.length, shape)), bytesOf(integers)),
      ).toBe(0);
      expect(
        Buffer.compare(bytesOf(bySimd.decodeWeights(bytes, integers.length, shape)), bytesOf(integers)),
      ).toBe(0);
    }),
    { numRuns: 15 },
  );
});

test("refuses what the other refuses", () => {
  fc.assert(
    fc.property(shapes, fc.nat(), fc.integer({ min: 1, max: 255 }), (some, where, change) => {
      const { integers, shape, bytes } = coded({ ...some, rows: Math.min(5, some.rows) });
      bytes[where % bytes.length] ^= change;
      const [a, b] = [bySimd, plainly].map((decoders) => outcome(decoders, bytes, integers.length, shape));
      expect(typeof a === "string" ? a : Buffer.from(a.buffer).toString("hex")).toBe(
        typeof b === "string" ? b : Buffer.from(b.buffer).toString("hex"),
      );
    }),
    { numRuns: 30 },
  );
});

const bytesOf = ({ buffer, byteOffset, byteLength }: Int32Array) =>
  new Uint8Array(buffer, byteOffset, byteLength);
