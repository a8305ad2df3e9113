import { createHash } from "node:crypto";
import { beforeAll, describe, expect, test } from "vitest";
import type { TextExample } from "../../src/data/glue.js";
import { loadMails, mailText } from "../../src/data/spam.js";
import { encodeTexts, tokenizerFromVocabulary } from "../../src/data/tokenizer.js";
import { learnVocabulary } from "../../src/data/vocabulary.js";

describe("the text of a mail", () => {
  test("is its subject and its body, without other headers", () => {
    const raw =
      "From: a@b.c\nSubject: Hello\n there\nList-Id: <x>\n\nSee http://a.b/c?d or mail me@x.org.\n-----\nBye\n";
    expect(mailText(raw)).toBe("Hello there . See url or mail address - Bye");
  });

  test("is decoded and free of markup", () => {
    const html = `<html><style>p {}</style><p>Buy=20<b>n=\now</b>!</p><!-- x --></html>`;
    const raw = `Subject: =?utf-8?q?x?= A\nContent-Type: text/html\nContent-Transfer-Encoding: quoted-printable\n\n${html}`;
    expect(mailText(raw)).toBe("A . Buy now !");
  });

  test("is the first part that has any", () => {
    const part = (type: string, body: string) => `--b1\nContent-Type: ${type}\n\n${body}\n`;
    const body = `preamble\n${part("image/png", "iVBOR")}${part("text/plain", "words")}${part("text/html", "<p>other</p>")}--b1--\n`;
    expect(mailText(`Subject: S\nContent-Type: multipart/mixed; boundary="b1"\n\n${body}`)).toBe("S . words");
  });
});

describe("a learned vocabulary", () => {
  test("joins the most frequent pairs first, of equals the first in the alphabet", () => {
    const pieces = learnVocabulary(["low low lower", "lowest"], 5 + 8 + 3).split("\n");
    expect(pieces.slice(0, 5)).toEqual(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]);
    expect(pieces.slice(5, 12)).toEqual(["##e", "##o", "##r", "##s", "##t", "##w", "l"]);
    // ##o ##w and l ##o both occur 4 times; then l ##ow 4 times, ##e ##r and others once: no more pairs.
    expect(pieces.slice(12)).toEqual(["##ow", "low", "lowe", ""]);
  });

  test("does not depend on the order of the texts, and refuses a size below the characters", () => {
    const texts = ["the cat sat", "the mat", "a cat", "cats that sat"];
    expect(learnVocabulary([...texts].reverse(), 40)).toBe(learnVocabulary(texts, 40));
    expect(() => learnVocabulary(texts, 10)).toThrow(
      /^size must be at least \d+, the texts' characters; got 10\.$/,
    );
  });
});

describe("the mails", () => {
  let training: TextExample[];
  let held: TextExample[];
  beforeAll(() => {
    ({ training, test: held } = loadMails());
  }, 60_000);

  test("are split for good, without a text on both sides", () => {
    expect([training.length, held.length]).toEqual([4313, 1500]);
    const texts = new Set(training.map(({ first }) => first));
    expect(held.filter(({ first }) => texts.has(first))).toEqual([]);
    for (const mails of [training, held]) {
      const share = mails.filter(({ label }) => label === 1).length / mails.length;
      expect(share).toBeGreaterThan(0.28);
      expect(share).toBeLessThan(0.32);
    }
  });

  test("and their vocabulary give the same tokens in every run", () => {
    const vocabulary = learnVocabulary(
      training.map(({ first }) => first),
      4096,
    );
    const tokenizer = tokenizerFromVocabulary(vocabulary);
    expect(tokenizer.vocabSize).toBe(4096);
    const { ids, mask } = encodeTexts(tokenizer, held, 64);
    const unknown = ids.filter((id) => id === 1).length / mask.reduce((sum, one) => sum + one, 0);
    expect(unknown).toBeLessThan(1e-4);
    expect(createHash("sha256").update(new Uint8Array(ids.buffer)).digest("hex")).toBe(
      "6ae285307afdc9fe8de6468cc9222500502fc1173a543678cb553f3863cd8b3c",
    );
  }, 120_000);
});
