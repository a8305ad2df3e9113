import { expect, test } from "vitest";
import { curve, PLAIN } from "../../src/cli/curve.js";
import { curveHtml } from "../../src/cli/curve-html.js";
import { checkOutputs, weightsOnly } from "../../src/compress-checked.js";
import { memoryFiles } from "../../src/formats/files.js";
import { readOnnx } from "../../src/formats/onnx.js";
import { floatConstant, makeNode, writeGraph } from "../../src/networks/onnx/graph.js";
import { onnxRunner } from "../../src/networks/onnx/run.js";
import { normals } from "../formats/small-models.js";
import { graphOf, runtime } from "../networks/onnx/small-graphs.js";

const [INPUTS, OUTPUTS] = [24, 8];

test("a curve has every way at five sizes, and plain integers as anybody would round them", async () => {
  const w = normals(INPUTS * OUTPUTS, 1);
  const constants = { w: floatConstant(w, [INPUTS, OUTPUTS]) };
  const graph = graphOf([makeNode("MatMul", ["x", "w"], ["y"])], constants, [undefined, INPUTS]);
  const model = await readOnnx(memoryFiles({ "model.onnx": writeGraph(graph) }), "model.onnx");
  const feeds = Array.from({ length: 8 }, (_, i) => {
    const data = normals(4 * INPUTS, 10 + i);
    return new Map([["x", { dtype: "float32" as const, shape: [4, INPUTS], data }]]);
  });
  const runner = await onnxRunner(model, runtime.ort);
  const check = await checkOutputs(model, runner, { feeds });
  const progress = { step: () => {}, note: () => {}, stop: () => {} };
  const points = await curve(model, check, [weightsOnly(model)], progress);
  await runner.dispose();
  const own = points.filter(({ series }) => series === "the weights alone");
  expect(own).toHaveLength(5);
  for (const [i, point] of own.entries()) {
    if (i === 0) continue;
    expect(point.bytes).toBeGreaterThan(own[i - 1].bytes);
    expect(point.divergence).toBeLessThan(own[i - 1].divergence);
  }
  const plain = points.filter(({ series }) => series === PLAIN);
  expect(plain.map(({ setting }) => setting)).toEqual(["int8", "int6", "int4"]);
  // Columns of w are channels: y = x w on the inputs held out, the last four.
  const rounded = (bits: number) => {
    const steps = Array.from({ length: OUTPUTS }, (_, c) => {
      const column = w.filter((_, i) => i % OUTPUTS === c).map(Math.abs);
      return Math.max(...column) / (2 ** (bits - 1) - 1);
    });
    return w.map((value, i) => Math.round(value / steps[i % OUTPUTS]) * steps[i % OUTPUTS]);
  };
  const outputsOf = (weights: Float32Array) =>
    feeds.slice(4).flatMap((feed) => {
      const { data } = feed.get("x")!;
      return Array.from({ length: 4 * OUTPUTS }, (_, i) => {
        let sum = 0;
        for (let k = 0; k < INPUTS; k++)
          sum += data[Math.floor(i / OUTPUTS) * INPUTS + k] * weights[k * OUTPUTS + (i % OUTPUTS)];
        return sum;
      });
    });
  const exact = outputsOf(w);
  const mean = exact.reduce((a, b) => a + b, 0) / exact.length;
  const variance = exact.reduce((sum, y) => sum + (y - mean) ** 2, 0);
  for (const [i, bits] of [8, 6, 4].entries()) {
    const error = outputsOf(rounded(bits)).reduce((sum, y, k) => sum + (y - exact[k]) ** 2, 0);
    expect(plain[i].divergence / (error / variance)).toBeCloseTo(1, 2);
  }
  const html = curveHtml("<a>", points, { kind: "relative", chosen: own[2] });
  expect(html).toContain("<h1>&lt;a&gt;</h1>");
  expect(html.match(/<title>[^<]*quality/g)).toHaveLength(5);
  expect(html.match(/<circle/g)).toHaveLength(points.length + 1);
  expect(html).not.toContain("NaN");
});
