/** What a model's tensors and topology say of its inputs: how many words it knows, in which range it takes pictures. */
import type { Model } from "../../model.js";
import type { InputHints } from "./shapes.js";

/** Tables of more rows than this, much longer than wide, are taken for word embeddings whatever their name. */
const MIN_WORDS = 1000;

/** Only pixels of up to 255 are scaled by as little. */
const MAX_PIXEL_SCALE = 0.05;

export async function hintsOf(model: Model): Promise<InputHints> {
  return { vocabulary: vocabularyOf(model), range: rangeOf(model) };
}

/** Rows of the largest table that words are looked up in. Positions and types have tables, too. */
function vocabularyOf({ tensors }: Model): number | undefined {
  const isOther = (name: string) => /position|type|wpe|segment/i.test(name);
  const tables = tensors.filter(({ name, shape }) => shape.length === 2 && !isOther(name));
  const embeddings = tables.filter(({ use }) => use.kind === "embedding");
  const named = tables.filter(({ name }) => /embed|wte|token|lookup/i.test(name));
  const likely = tables.filter(({ shape: [rows, width] }) => rows >= MIN_WORDS && rows > 2 * width);
  const found = [embeddings, named, likely].find((list) => list.length > 0) ?? [];
  return found.length > 0 ? Math.max(...found.map(({ shape }) => Math.max(...shape))) : undefined;
}

/** Range of inputs that a layers model rescales first: pixels of 0 to 255, by x / 255 or x / 127.5 - 1. */
function rangeOf({ format, metadata }: Model): InputHints["range"] {
  if (format !== "tfjs-layers" || !metadata["model.json"]) return undefined;
  let isRescaled = false;
  JSON.parse(new TextDecoder().decode(metadata["model.json"]), (_key, value) => {
    const { class_name: kind, config } = Object(value);
    if (kind === "Rescaling" && config?.scale < MAX_PIXEL_SCALE) isRescaled = true;
    return value;
  });
  return isRescaled ? { mean: [0], deviation: [1 / 255] } : undefined;
}
