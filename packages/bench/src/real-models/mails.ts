/**
 * Mails as tokens for the project's own BERT, which `npm run start:mails` trains: BITDIET_BERT names its folder.
 *
 *     const feeds = await mailTokens({ from: 0, count: 128, isTest: false, names: ["input_ids"] });
 */
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { loadMails } from "@bitdiet/zoo/data/spam";
import { encodeTexts, loadTokenizer } from "@bitdiet/zoo/data/tokenizer";
import { readBertCheckpoint } from "@bitdiet/zoo/nets/bert-checkpoint";
import { useBackend } from "@bitdiet/zoo/training/backend";
import { bertOnnx, gptOnnx } from "./bert-onnx.js";
import type { Feeds } from "./subjects.js";

const LENGTH = 64;
const FOLDER =
  process.env.BITDIET_BERT ?? join(import.meta.dirname, "../../../../apps/examples/out/spam/float");
const OUT = join(import.meta.dirname, "../../out/mails");

/** Writes the models if there is a trained network. @returns their paths */
export async function mailModel(kind: "bert" | "gpt"): Promise<string | undefined> {
  if (!existsSync(join(FOLDER, "config.json"))) return undefined;
  const path = join(OUT, `${kind}.onnx`);
  mkdirSync(OUT, { recursive: true });
  await useBackend("wasm");
  const network = await readBertCheckpoint(FOLDER);
  writeFileSync(path, kind === "bert" ? bertOnnx(network) : gptOnnx(network));
  return path;
}

/** One mail each, 64 tokens with what fills them up. */
export async function mailTokens({
  from,
  count,
  isTest,
  names,
}: {
  from: number;
  count: number;
  isTest: boolean;
  names: readonly string[];
}): Promise<Feeds[]> {
  const mails = loadMails()[isTest ? "test" : "training"].slice(from, from + count);
  const { ids, mask, tokenTypes } = encodeTexts(await loadTokenizer(FOLDER), mails, LENGTH);
  const all: Record<string, ArrayLike<number>> = {
    input_ids: ids,
    attention_mask: mask,
    token_type_ids: tokenTypes,
  };
  return mails.map((_, row) => {
    const tensor = (name: string) => ({
      dtype: "int64" as const,
      shape: [1, LENGTH],
      data: BigInt64Array.from(Array.from(all[name]).slice(row * LENGTH, (row + 1) * LENGTH), BigInt),
    });
    return new Map(names.map((name) => [name, tensor(name)]));
  });
}
