import { describe, expect, it } from "vitest";
import {
  compress,
  decodeTable,
  decompress,
  encodeTable,
  groupCode,
  huffmanCode,
  learnCode,
  runCode,
} from "../src/index.js";
import { inputs } from "./golden/inputs.js";
import { streams } from "./golden/streams.js";

const hex = (bytes: Uint8Array) => Array.from(bytes, (b) => b.toString(16).padStart(2, "0")).join("");
const fromHex = (text: string) =>
  Uint8Array.from({ length: text.length / 2 }, (_, i) => Number.parseInt(text.slice(2 * i, 2 * i + 2), 16));

describe("the bytes of version 1", () => {
  it.each(Object.keys(inputs))("compress writes them, and decompress reads them: %s", (name) => {
    const symbols = inputs[name]();
    expect(hex(compress(symbols))).toBe(streams[name]);
    expect(decompress(fromHex(streams[name]))).toEqual(symbols);
  });

  it("a fixed code writes the example of FORMAT.md, and its table too", () => {
    const code = huffmanCode(Uint8Array.of(1, 2, 2));
    expect(hex(code.encode(Uint8Array.of(0, 1, 2)))).toBe("58");
    expect(hex(encodeTable(code))).toBe("0bb0");
    expect([...decodeTable(fromHex("0bb0")).lengths]).toEqual([1, 2, 2]);
  });

  it("learned codes are the same, and write the same", () => {
    const samples = inputs["zero runs"]() as Uint8Array;
    const test = samples.subarray(700, 800);
    const group = groupCode(samples, { alphabetSize: 16, groupSize: 2 });
    const run = runCode(samples, { alphabetSize: 16, runLimit: 8 });
    expect(hex(group.encode(test))).toBe("0460007200106741cfc190b3");
    expect(hex(run.encode(test))).toBe("26808880d12972892152");
    expect(hex(encodeTable(run))).toBe(
      "9843e3f9b3ece13f1fcdf670af8fe79f65e11f27d1f5f0af93e79f5f09f93e7faf857cbf47d7c2be5cfaf857c4",
    );
    expect(learnCode(samples, 16)).toMatchObject({ groupSize: 1, runLimit: 4 });
  });
});
