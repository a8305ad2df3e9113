import sharp from "sharp";
import { expect, it } from "vitest";
import { readPixels, squareWindow } from "../../src/data/pixels.js";

const grey = (rows: number[][]) => ({
  width: rows[0].length,
  height: rows.length,
  values: Uint8Array.from(rows.flat().flatMap((value) => [value, value, value])),
});
const first = (square: Uint8Array) => [...square].filter((_, i) => i % 3 === 0);

it("a window is what OpenCV's resize gives, and what lies outside is filled", () => {
  // cv2.resize(np.uint8([[0, 100], [200, 100]]), (4, 4), interpolation=cv2.INTER_LINEAR)
  const row = [0, 25, 75, 100];
  const last = [200, 175, 125, 100];
  const middle = (share: number) => row.map((value, i) => Math.round(value + (last[i] - value) * share));
  const picture = grey([
    [0, 100],
    [200, 100],
  ]);
  expect(first(squareWindow(picture, 4))).toEqual([...row, ...middle(0.25), ...middle(0.75), ...last]);
  // Shrunk four times, the two pixels about the middle count and the outer ones don't.
  expect(first(squareWindow(grey([[0, 10, 20, 255]]), 1))).toEqual([15]);
  expect(first(squareWindow(picture, 2, [0.5, 0, 1.5, 1], [7, 8, 9]))).toEqual([100, 7, 100, 7]);
});

it("pictures of any kind become RGB", async () => {
  const png = await sharp({ create: { width: 2, height: 1, channels: 4, background: "#102030ff" } })
    .png()
    .toBuffer();
  expect(await readPixels(png)).toMatchObject({ width: 2, height: 1 });
  expect([...(await readPixels(png)).values]).toEqual([16, 32, 48, 16, 32, 48]);
});
