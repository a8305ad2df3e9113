/**
 * What takes long to measure, kept in a folder by the content that it was measured on: a second size of the same model, with the same
 * inputs, begins where the first one did.
 *
 *     const remember = await memory("cache", model, feeds);
 *     const losses = await remember("losses", () => measureLosses(model, runner, feeds));   // read the next time
 */
import { createHash } from "node:crypto";
import { access, constants, mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { writeWhole } from "../../formats/whole-files.js";
import type { Model } from "../../model.js";
import type { Feeds } from "../../networks/inputs/made-up.js";

/** Numbers by a name each. */
export type Measured = ReadonlyMap<string, Float64Array>;
/** What `make` gives, or what it gave before. */
export type Remember = (what: string, make: () => Promise<Measured>) => Promise<Measured>;

/** Measurements of other versions of this program are others: it goes up when they change. */
const VERSION = 2;

export const forget: Remember = (_, make) => make();

/** @param feeds of the user's, if there are any */
export async function memory(folder: string, model: Model, feeds: readonly Feeds[] = []): Promise<Remember> {
  const content = createHash("sha256").update(`${VERSION} ${model.format}`);
  for (const [name, bytes] of Object.entries(model.metadata)) content.update(name).update(bytes);
  for (const { name, shape, bytes } of model.tensors)
    content.update(`${name} ${shape}`).update(await bytes());
  for (const feed of feeds) {
    for (const [name, { shape, data }] of feed) {
      content.update(`${name} ${shape}`);
      content.update(
        Array.isArray(data)
          ? JSON.stringify(data)
          : new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
      );
    }
  }
  const key = content.digest("hex").slice(0, 32);
  await mkdir(folder, { recursive: true });
  // Before anything is measured that could not be kept.
  await access(folder, constants.W_OK);
  return async (what, make) => {
    const path = join(folder, `${key}-${what.replaceAll(/\W+/g, "-")}.json`);
    const known = await readFile(path, "utf8").then(measuredIn, () => undefined);
    if (known) return known;
    const made = await make();
    const list = JSON.stringify([...made].map(([name, values]) => [name, [...values]]));
    const text = `${hashOf(list)}\n${list}`;
    await writeWhole([{ path, bytes: new TextEncoder().encode(text) }], { force: true });
    return made;
  };
}

const hashOf = (list: string): string => createHash("sha256").update(list).digest("hex");

/** @returns undefined if it is not what was written: then it is measured again */
function measuredIn(text: string): Measured | undefined {
  const [hash, json] = text.split("\n");
  if (json === undefined || hashOf(json) !== hash) return undefined;
  try {
    const list = JSON.parse(json) as unknown;
    const isOne = (entry: unknown) =>
      Array.isArray(entry) &&
      typeof entry[0] === "string" &&
      Array.isArray(entry[1]) &&
      entry[1].every(Number.isFinite);
    return Array.isArray(list) && list.every(isOne)
      ? new Map(list.map(([name, values]) => [name, Float64Array.from(values)]))
      : undefined;
  } catch {
    return undefined;
  }
}

/** The same for lists, as layers have them. */
export function rememberList(remember: Remember, what: string) {
  return async (measure: () => Promise<Float64Array[]>): Promise<Float64Array[]> => {
    const named = async () => new Map((await measure()).map((values, i) => [String(i), values]));
    return [...(await remember(what, named)).values()];
  };
}
