/**
 * Texts as calibration inputs: lines of a .txt, or of a .jsonl, which may be tokenised already.
 *
 *     {"text": "The weather was warm."}
 *     {"input_ids": [101, 1996, 4633, 102], "token_type_ids": [0, 0, 0, 0]}
 */
import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import type * as Tokenizers from "@huggingface/tokenizers";
import { importPeer } from "../../networks/find-runner.js";
import { chosen, completed } from "../../networks/inputs/given.js";
import type { Feeds } from "../../networks/inputs/made-up.js";
import type { NamedArray } from "../../networks/inputs/npy.js";
import type { RunInput } from "../../networks/runner.js";
import { UsageError } from "../options.js";

export interface TextOptions {
  count: number;
  folder: string;
  tokenizer?: string;
}

/** Numbers of tokens by the names of the model's inputs. */
type Tokens = Record<string, number[]>;

/** Tokens of one input at most. */
const MAX_LENGTH = 256;

/** @throws {RangeError} if a line is neither a text nor tokens, or the model takes none */
export async function textFeeds(
  path: string,
  inputs: readonly RunInput[],
  { count, folder, tokenizer }: TextOptions,
): Promise<Feeds[]> {
  const ids = inputs.find(({ name }) => /input_?ids|tokens?$|^ids$/i.test(name));
  const lines = (await readFile(path, "utf8")).split(/\r?\n/).filter((line) => line.trim() !== "");
  if (lines.length === 0) throw new RangeError(`${path}: expected a text a line, got none`);
  let encode: ((text: string) => Tokens) | undefined;
  const feeds: Feeds[] = [];
  for (const line of chosen(lines, count)) {
    const parsed = path.toLowerCase().endsWith(".jsonl") ? parsedLine(path, line) : line;
    let tokens = parsed;
    if (typeof tokens === "string") {
      if (!ids) throw new RangeError(`${path}: the model takes no texts: expected an input named input_ids`);
      encode ??= await encoder(ids.name, tokenizer ?? folder);
      tokens = encode(tokens);
    }
    feeds.push(completed(inputs, fitted(path, inputs, tokens)));
  }
  return feeds;
}

function parsedLine(path: string, line: string): string | Tokens {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (error) {
    throw new RangeError(`${path}: ${(error as Error).message}`);
  }
  const text = typeof value === "string" ? value : (value as { text?: unknown })?.text;
  if (typeof text === "string") return text;
  const isTokens =
    typeof value === "object" &&
    value !== null &&
    Object.values(value).every((list) => Array.isArray(list) && list.every(Number.isFinite));
  if (!isTokens)
    throw new RangeError(`${path}: expected a text or lists of numbers, got ${line.slice(0, 60)}`);
  return value as Tokens;
}

/** Tokens as long as the inputs are, where these have a length: cut off, or followed by zeros that a mask leaves out. */
function fitted(path: string, inputs: readonly RunInput[], tokens: Tokens): Map<string, NamedArray> {
  const known = inputs.filter(({ name }) => tokens[name] !== undefined);
  if (known.length === 0)
    throw new RangeError(
      `${path}: expected ${inputs.map(({ name }) => name).join(", ")}, got ${Object.keys(tokens)}`,
    );
  const given = new Map<string, NamedArray>();
  const mask = inputs.find(({ name }) => /attention_mask/i.test(name));
  const [first] = known;
  const all =
    mask && !tokens[mask.name] ? { ...tokens, [mask.name]: tokens[first.name].map(() => 1) } : tokens;
  for (const { name, shape } of inputs) {
    const list = all[name];
    if (!list) continue;
    const length = shape?.[1] ?? Math.min(list.length, MAX_LENGTH);
    const values = new Float32Array(length);
    values.set(list.slice(0, length));
    given.set(name, { shape: [1, length], values });
  }
  return given;
}

/** @param place a tokenizer.json, or a folder that it is in, or beside */
async function encoder(input: string, place: string): Promise<(text: string) => Tokens> {
  const peer = await importPeer<typeof Tokenizers>("@huggingface/tokenizers");
  if (!peer)
    throw new UsageError(
      "--calibrate: texts need a tokenizer: npm install @huggingface/tokenizers, or give input_ids as .jsonl",
    );
  const paths = place.endsWith(".json")
    ? [place]
    : [place, dirname(place)].map((each) => join(each, "tokenizer.json"));
  for (const path of paths) {
    const text = await readFile(path, "utf8").catch(() => undefined);
    if (text === undefined) continue;
    const config = await readFile(join(dirname(path), "tokenizer_config.json"), "utf8").catch(() => "{}");
    const tokenizer = tokenizerOf(peer, path, text, config);
    // Of words that it does not know it gives no number at times.
    return (line) => ({ [input]: tokenizer.encode(line).ids.filter(Number.isInteger) });
  }
  throw new UsageError(`--calibrate: texts need ${paths[0]}, or --tokenizer; or give input_ids as .jsonl`);
}

function tokenizerOf({ Tokenizer }: typeof Tokenizers, path: string, text: string, config: string) {
  try {
    return new Tokenizer(JSON.parse(text), JSON.parse(config));
  } catch (error) {
    throw new UsageError(`${path}: expected a tokenizer: ${(error as Error).message}`);
  }
}
