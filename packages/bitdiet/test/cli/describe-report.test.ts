import { expect, test } from "vitest";
import { type CompressResult, describeReport } from "../../src/cli/describe-report.js";
import { type CompressedTensor, NO_MORE_EXACTLY } from "../../src/report.js";

const tensor = (
  name: string,
  byteLength: number,
  more: Partial<CompressedTensor> = {},
): CompressedTensor => ({
  ...{ name, byteLength, shape: [100], dtype: "float32", kept: "quantized", why: "weight of Dense", bits: 8 },
  ...{ signalToNoise: 40, coder: "ans", hash: 0 },
  ...more,
});

const described = (tensors: CompressedTensor[], more: Partial<CompressResult> = {}) =>
  describeReport({
    ...{ file: "a.bitdiet", format: "onnx", sha256: "0", filesBytes: 9000, originalBytes: 9000, bytes: 3000 },
    ...{ overheadBytes: 10, bits: 8, method: "the weights alone", rivals: [] },
    ...{ outputs: { unchecked: "nothing runs it" }, tensors },
    ...more,
  });

test("the largest tensors come first whatever became of them, and weights kept with every bit are named", () => {
  const exact = { kept: "exact", why: NO_MORE_EXACTLY, signalToNoise: Infinity, coder: "lossless" } as const;
  const lines = described([tensor("small", 5), tensor("kept", 2000, exact), tensor("large", 900)]).split(
    "\n",
  );
  expect(lines.slice(1, 4).map((line) => line.split(/ +/)[0])).toEqual(["kept", "large", "small"]);
  expect(lines[1]).toMatch(/kept +lossless$/);
  expect(lines).toContain("1 weight tensors take no more with every bit, 2,000 B: kept so.");
});

test("other ways are named with the size at which they were looked at", () => {
  const rivals = [{ method: "bits where outputs depend on them", divergence: 0.00051, bytes: 4800 }];
  expect(described([tensor("w", 2000)], { rivals })).toContain(
    "Integers chosen by the weights alone (divergence by bits where outputs depend on them 0.00051 in 4,800 B).",
  );
});

test("what has no row of its own is counted", () => {
  const many = Array.from({ length: 30 }, (_, i) => tensor(`t${i}`, 100 + i));
  expect(described(many)).toContain("6 smaller tensors 615 B, names and topology 10 B");
});
