import { describe, expect, it } from "vitest";
import { bdRate, paretoFront } from "../../src/report/bd-rate.js";

const points = (rates: number[], qualities: number[]) =>
  rates.map((rate, i) => ({ rate, quality: qualities[i] }));

describe("Bjøntegaard delta rate", () => {
  // The example that most implementations carry (H.264 in kbit/s against dB).
  const anchor = points([686.76, 309.58, 157.11, 85.95], [40.28, 37.18, 34.24, 31.42]);
  const test = points([893.34, 407.8, 204.93, 112.75], [40.39, 37.21, 34.17, 31.24]);

  it("gives what SciPy's PchipInterpolator integrates to, and nearly the classical single cubic's 31.4 %", () => {
    expect(bdRate(anchor, test)).toBeCloseTo(0.3137987820239754, 12);
    expect(bdRate(test, anchor)).toBeCloseTo(-0.23884843426369448, 12);
    expect(bdRate(anchor, test)).toBeCloseTo(0.3139737405490793, 3); // numpy.polyfit of degree 3
    expect(
      bdRate(
        points([2.95, 2.33, 1.7, 1.1, 0.8], [86.3, 85.7, 82.5, 74, 60]),
        points([2.2, 1.6, 1], [86.5, 85.9, 80.1]),
      ),
    ).toBeCloseTo(-0.3496150063094836, 12);
  });

  it("follows SciPy where the rate falls and rises, too", () => {
    const wavy = points([1, 2, 1.5, 3, 6], [10, 20, 35, 40, 70]);
    const other = points([1.2, 1.1, 2.4, 2.5], [15, 22, 50, 80]);
    expect(bdRate(wavy, other)).toBeCloseTo(-0.4171475611312958, 12);
  });

  it("is the common factor where one curve is a multiple of the other, whatever the order of the points", () => {
    const half = anchor.map(({ rate, quality }) => ({ rate: rate / 2, quality })).reverse();
    expect(bdRate(anchor, half)).toBeCloseTo(-0.5, 12);
    expect(bdRate(anchor.slice(0, 2), half.slice(2))).toBeCloseTo(-0.5, 12);
    expect(bdRate(anchor, anchor)).toBeCloseTo(0, 12);
  });

  it("is not a number without common quality, and refuses points that make no curve", () => {
    expect(bdRate(anchor, points([1, 2], [50, 60]))).toBeNaN();
    expect(() => bdRate(anchor.slice(0, 1), test)).toThrow("anchor: expected at least two points, got 1");
    expect(() => bdRate(anchor, [...test, test[0]])).toThrow("test: expected finite qualities, each once");
    expect(() => bdRate(points([0, 1], [1, 2]), test)).toThrow(RangeError);
  });

  it("takes a Pareto front of points that other points beat", () => {
    const front = paretoFront(points([3, 1, 2, 2, 4], [85, 80, 85, 84, 86]));
    expect(front).toEqual(points([1, 2, 4], [80, 85, 86]));
  });
});
