import fc from "fast-check";
import { expect, test } from "vitest";
import { fromBlocks, type MapShape, toBlocks } from "../src/blocks.js";
import { uniform } from "./samples.js";

const count = (n: number): Float32Array => Float32Array.from({ length: n }, (_, i) => i + 1);

test("toBlocks of the 2 × 2 × 2 map 1 … 8, by hand", () => {
  const map = count(8);
  expect([...toBlocks(map, [1, 2, 2, 2], { block: 2, channels: 1 })]).toEqual([1, 3, 5, 7, 2, 4, 6, 8]);
  expect([...toBlocks(map, [1, 2, 2, 2], { block: 2 })]).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
  expect([...toBlocks(map, [1, 2, 2, 2], { block: 1, channels: 1 })]).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
});

test("a 4 × 4 image in 2 × 2 blocks goes block row by block row", () => {
  expect([...toBlocks(count(16), [1, 4, 4, 1], { block: 2 })]).toEqual([
    1, 2, 5, 6, 3, 4, 7, 8, 9, 10, 13, 14, 11, 12, 15, 16,
  ]);
});

test("with blocks of one position and all channels the rows are the map", () => {
  const map = uniform(2 * 3 * 5 * 4, 1);
  expect(toBlocks(map, [2, 3, 5, 4], { block: 1 })).toEqual(map);
});

test("every value lands where the index formula says, and fromBlocks brings it back", () => {
  fc.assert(
    fc.property(
      fc.tuple(...Array.from({ length: 4 }, () => fc.integer({ min: 1, max: 3 }))),
      fc.integer({ min: 1, max: 3 }),
      fc.integer({ min: 1, max: 3 }),
      ([n, rows, columns, groups], block, channels) => {
        const shape: MapShape = [n, rows * block, columns * block, groups * channels];
        const map = count(shape.reduce((a, b) => a * b));
        const blocks = toBlocks(map, shape, { block, channels });
        const [, height, width, depth] = shape;
        const size = block * block * channels;
        for (let at = 0; at < map.length; at++) {
          const c = at % depth;
          const x = Math.floor(at / depth) % width;
          const y = Math.floor(at / depth / width) % height;
          const image = Math.floor(at / depth / width / height);
          const blockRow = image * rows + Math.floor(y / block);
          const row = (blockRow * columns + Math.floor(x / block)) * groups + Math.floor(c / channels);
          const inside = ((y % block) * block + (x % block)) * channels + (c % channels);
          expect(blocks[row * size + inside]).toBe(map[at]);
        }
        expect(fromBlocks(blocks, shape, { block, channels })).toEqual(map);
      },
    ),
    { numRuns: 100, seed: 1 },
  );
});

test("wrong arguments are named with what was expected and what came", () => {
  expect(() => toBlocks(new Float32Array(9), [1, 3, 3, 1], { block: 2 })).toThrow(
    new RangeError("block: expected a divisor of height 3 and width 3, got 2"),
  );
  expect(() => toBlocks(new Float32Array(3), [1, 1, 1, 3], { block: 1, channels: 2 })).toThrow(
    new RangeError("channels: expected a divisor of 3, got 2"),
  );
  expect(() => toBlocks(new Float32Array(3), [1, 1, 1, 4], { block: 1 })).toThrow(
    new RangeError("map: expected 4 values, got 3"),
  );
  expect(() => fromBlocks(new Float32Array(3), [1, 1, 1, 4], { block: 1 })).toThrow(
    new RangeError("rows: expected 4 values, got 3"),
  );
  expect(() => toBlocks([1] as unknown as Float32Array, [1, 1, 1, 1], { block: 1 })).toThrow(TypeError);
  expect(() => toBlocks(new Float32Array(0), [0, 1, 1, 1], { block: 1 })).toThrow(
    new RangeError("shape[0]: expected a positive integer, got 0"),
  );
  expect(() => toBlocks(new Float32Array(4), [2, 2, 1] as unknown as MapShape, { block: 1 })).toThrow(
    new RangeError("shape: expected [N, H, W, C], got [2,2,1]"),
  );
});
