import { mkdtemp, readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { dataFile } from "../../src/data/outside.js";
import { encodeTexts, loadTokenizer, tokenizerFromVocabulary } from "../../src/data/tokenizer.js";

const vocabulary = dataFile("text/vocab.txt");
const small = "[PAD]\n[UNK]\n[CLS]\n[SEP]\na\nb\n##b\nc\nd\n,\nA\n";

describe("BERT's tokens", () => {
  it.skipIf(!vocabulary)(
    "are those published for CoLA's first sentence, and follow BERT's rules for text",
    async () => {
      const { encode, special, vocabSize } = tokenizerFromVocabulary(await readFile(vocabulary!, "utf8"));
      expect(vocabSize).toBe(30522);
      expect(special).toEqual({ padding: 0, first: 101, separator: 102 });
      expect(encode("Our friends won't buy this analysis, let alone the next one we propose.")).toEqual([
        2256, 2814, 2180, 1005, 1056, 4965, 2023, 4106, 1010, 2292, 2894, 1996, 2279, 2028, 2057, 16599, 1012,
      ]);
      // Lower case, accents, Chinese characters one by one, subwords, and a word the vocabulary lacks.
      expect(encode("unaffable Héllo, 北京 😁")).toEqual([14477, 20961, 3468, 7592, 1010, 1781, 1755, 100]);
    },
  );

  it("come from vocab.txt as tokenizer_config.json says", async () => {
    const folder = await mkdtemp(join(tmpdir(), "bitdiet-tokenizer-"));
    await expect(loadTokenizer(folder)).rejects.toThrow(/vocab.txt/);
    await writeFile(join(folder, "vocab.txt"), small);
    expect((await loadTokenizer(folder)).encode("A abb,")).toEqual([4, 4, 6, 6, 9]);
    await writeFile(join(folder, "tokenizer_config.json"), '{"do_lower_case":false}');
    expect((await loadTokenizer(folder)).encode("A ab")).toEqual([10, 4, 6]);
    await writeFile(join(folder, "vocab.txt"), "a\nb\n");
    await expect(loadTokenizer(folder)).rejects.toThrow(/no \[PAD\]/);
  });

  it("fill sequences of one length, the longer text cut first", () => {
    const tokenizer = tokenizerFromVocabulary(small);
    const { ids, mask, tokenTypes } = encodeTexts(
      tokenizer,
      [
        { first: "a" },
        { first: "a b c d a b", second: "d" },
        { first: "a b c d", second: "d c b a" },
        { first: "a b c d a b c d" },
      ],
      7,
    );
    const row = (values: ArrayLike<number>, i: number) => Array.from(values).slice(7 * i, 7 * i + 7);
    expect(row(ids, 0)).toEqual([2, 4, 3, 0, 0, 0, 0]);
    expect(row(mask, 0)).toEqual([1, 1, 1, 0, 0, 0, 0]);
    expect(row(ids, 1)).toEqual([2, 4, 5, 7, 3, 8, 3]);
    expect(row(tokenTypes, 1)).toEqual([0, 0, 0, 0, 0, 1, 1]);
    expect(row(ids, 2)).toEqual([2, 4, 5, 3, 8, 7, 3]);
    expect(row(ids, 3)).toEqual([2, 4, 5, 7, 8, 4, 3]);
    expect(() => encodeTexts(tokenizer, [{ first: "a" }], 4)).toThrow(RangeError);
  });
});
