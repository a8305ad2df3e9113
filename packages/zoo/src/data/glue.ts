// Sentence classification data as GLUE and its sources publish it: tab-separated lines, with a header or without.
// Example: CoLA's line "gj04<TAB>1<TAB><TAB>The sailors rode the breeze clear of the rocks." is an example of class 1.
import { existsSync } from "node:fs";
import { join } from "node:path";

/** One sentence, or a pair of them, and its class. */
export interface TextExample {
  first: string;
  second?: string;
  /** Index into the task's classes. */
  label: number;
}

/** A line that is not an example, and why. */
export interface SkippedLine {
  /** Counted from 1, as editors do. */
  line: number;
  reason: string;
}

/** Where a task's columns and files are. Of several names the first that a file has is meant. */
export interface TextTask {
  first: readonly string[];
  second?: readonly string[];
  label: readonly string[];
  /** Class names in order; a file may give the name or the index. */
  classes: readonly string[];
  /** Column names of a file without a header line. */
  columns?: readonly string[];
  /** What the benchmark reports for it. */
  metrics: Readonly<Record<string, Metric>>;
  /** File names in a folder: training, and development sets by their name. */
  files: { train: readonly string[]; development: Readonly<Record<string, readonly string[]>> };
}

/** A score of predicted classes against the true ones, from -1 or 0 (worst) to 1 (best). */
export type Metric = (predicted: ArrayLike<number>, actual: ArrayLike<number>) => number;

const ENTAILMENT = ["entailment", "neutral", "contradiction"];

/** The tasks read here. Their class orders are those of the GLUE data in Hugging Face's datasets. */
export const TASKS = {
  cola: {
    first: ["sentence"],
    label: ["label"],
    classes: ["unacceptable", "acceptable"],
    columns: ["source", "label", "mark", "sentence"],
    metrics: { matthews, accuracy },
    files: {
      train: ["train.tsv", "in_domain_train.tsv"],
      development: { development: ["dev.tsv", "in_domain_dev.tsv"], outOfDomain: ["out_of_domain_dev.tsv"] },
    },
  },
  sst2: {
    first: ["sentence"],
    label: ["label"],
    classes: ["negative", "positive"],
    metrics: { accuracy },
    files: { train: ["train.tsv"], development: { development: ["dev.tsv", "validation.tsv"] } },
  },
  mnli: {
    first: ["sentence1", "premise"],
    second: ["sentence2", "hypothesis"],
    label: ["gold_label", "label"],
    classes: ENTAILMENT,
    metrics: { accuracy },
    files: {
      train: ["train.tsv", "multinli_1.0_train.txt"],
      development: {
        matched: ["dev_matched.tsv", "multinli_1.0_dev_matched.txt"],
        mismatched: ["dev_mismatched.tsv", "multinli_1.0_dev_mismatched.txt"],
      },
    },
  },
  snli: {
    first: ["sentence1", "premise"],
    second: ["sentence2", "hypothesis"],
    label: ["gold_label", "label"],
    classes: ENTAILMENT,
    metrics: { accuracy },
    files: {
      train: ["train.tsv", "snli_1.0_train.txt"],
      development: { development: ["dev.tsv", "validation.tsv", "snli_1.0_dev.txt"] },
    },
  },
  rte: {
    first: ["sentence1"],
    second: ["sentence2"],
    label: ["label"],
    classes: ["entailment", "not_entailment"],
    metrics: { accuracy },
    files: { train: ["train.tsv"], development: { development: ["dev.tsv", "validation.tsv"] } },
  },
  mrpc: {
    first: ["#1 String", "sentence1"],
    second: ["#2 String", "sentence2"],
    label: ["Quality", "label"],
    classes: ["not_equivalent", "equivalent"],
    metrics: { f1, accuracy },
    files: {
      train: ["train.tsv", "msr_paraphrase_train.txt"],
      development: { development: ["dev.tsv", "validation.tsv"], test: ["msr_paraphrase_test.txt"] },
    },
  },
} as const satisfies Record<string, TextTask>;

/**
 * The task's files in a folder, those that exist.
 *
 * @throws {RangeError} if there is none, with the names looked for.
 */
export function taskFiles(
  folder: string,
  task: TextTask,
): { train?: string; development: Record<string, string> } {
  const find = (names: readonly string[]) =>
    names.map((name) => join(folder, name)).find((path) => existsSync(path));
  const train = find(task.files.train);
  const development: Record<string, string> = {};
  for (const [name, files] of Object.entries(task.files.development)) {
    const path = find(files);
    if (path !== undefined) development[name] = path;
  }
  if (train === undefined && Object.keys(development).length === 0) {
    const names = [task.files.train, ...Object.values(task.files.development)].flat();
    throw new RangeError(`${folder} holds none of ${names.join(", ")}.`);
  }
  return { train, development };
}

/**
 * The examples of a file. Lines with too few or many columns, an empty sentence, or a label that is no class
 * (MultiNLI and SNLI write "-" where annotators disagreed) are listed, not dropped silently.
 *
 * Quotation marks: GLUE's own files never quote, files written by CSV libraries do. A file is taken as quoted if at
 * least 95 % of the fields that begin with a quotation mark are well-formed quoted fields.
 *
 * @param text the whole file
 * @throws {RangeError} if a column is missing (the message lists those there are) or no line is an example.
 */
export function readExamples(
  text: string,
  task: Pick<TextTask, "first" | "second" | "label" | "classes" | "columns">,
): { examples: TextExample[]; skipped: SkippedLine[] } {
  const { header, rows, isQuoted } = splitTable(text, task);
  const first = columnOf(header, task.first);
  const second = task.second === undefined ? undefined : columnOf(header, task.second);
  const label = columnOf(header, task.label);

  const examples: TextExample[] = [];
  const skipped: SkippedLine[] = [];
  for (const { line, fields } of rows) {
    const values = isQuoted ? fields.map(unquoted) : fields;
    const problem = problemOf(values, header, second === undefined ? [first] : [first, second]);
    const index = problem === undefined ? classOf(values[label]!.trim(), task.classes) : undefined;
    if (problem !== undefined) skipped.push({ line, reason: problem });
    else if (index === undefined) skipped.push({ line, reason: `label "${values[label]}"` });
    else {
      examples.push({
        first: values[first]!.trim(),
        ...(second === undefined ? {} : { second: values[second]!.trim() }),
        label: index,
      });
    }
  }
  if (examples.length === 0) throw new RangeError(`The file has no examples. ${describeSkipped(skipped)}`);
  return { examples, skipped };
}

/** The different labels of a file, sorted: the classes of a task of the user's own. */
export function labelsIn(text: string, task: Pick<TextTask, "label" | "columns">): string[] {
  const { header, rows, isQuoted } = splitTable(text, task);
  const column = columnOf(header, task.label);
  const whole = rows.filter(({ fields }) => fields.length === header.length);
  const labels = whole.map(({ fields }) => (isQuoted ? unquoted(fields[column]!) : fields[column]!).trim());
  return [...new Set(labels)]
    .filter((label) => label !== "")
    .sort((a, b) => a.localeCompare(b, "en", { numeric: true }));
}

/** One sentence on what was skipped: how many lines, and the first few with their reasons. Empty if none. */
export function describeSkipped(skipped: readonly SkippedLine[]): string {
  if (skipped.length === 0) return "";
  const named = skipped.slice(0, 5).map(({ line, reason }) => `line ${line}: ${reason}`);
  const more = skipped.length > 5 ? "; …" : "";
  return `${skipped.length} line${skipped.length === 1 ? "" : "s"} skipped (${named.join("; ")}${more}).`;
}

/** Share of equal entries. @throws {RangeError} if the lengths differ or are 0, as every metric here. */
export function accuracy(predicted: ArrayLike<number>, actual: ArrayLike<number>): number {
  return confusion(predicted, actual).correct / actual.length;
}

/** F1 of class 1: the harmonic mean of its precision and recall, 2 tp / (2 tp + fp + fn); 0 where undefined. */
export function f1(predicted: ArrayLike<number>, actual: ArrayLike<number>): number {
  const { truePositives, predictedCounts, actualCounts } = confusion(predicted, actual);
  const total = (predictedCounts.get(1) ?? 0) + (actualCounts.get(1) ?? 0);
  return total === 0 ? 0 : (2 * truePositives) / total;
}

/**
 * Matthews' correlation of the classes (Gorodkin 2004 for more than two), from -1 to 1; 0 for a constant prediction.
 * Example: of 6 true and 6 false ones 5 and 4 right: (5·4 - 2·1) / sqrt(7·6·6·5) = 0.507.
 */
export function matthews(predicted: ArrayLike<number>, actual: ArrayLike<number>): number {
  const { correct, predictedCounts, actualCounts } = confusion(predicted, actual);
  const n = actual.length;
  let both = 0;
  let predictedSquares = 0;
  let actualSquares = 0;
  for (const [label, count] of predictedCounts) {
    both += count * (actualCounts.get(label) ?? 0);
    predictedSquares += count * count;
  }
  for (const count of actualCounts.values()) actualSquares += count * count;
  const scale = Math.sqrt(n * n - predictedSquares) * Math.sqrt(n * n - actualSquares);
  return scale === 0 ? 0 : (correct * n - both) / scale;
}

interface Table {
  header: readonly string[];
  rows: { line: number; fields: string[] }[];
  isQuoted: boolean;
}

function splitTable(text: string, { label, columns }: Pick<TextTask, "label" | "columns">): Table {
  const rows = text
    .replace(/^\uFEFF/, "")
    .split(/\r?\n/)
    .map((content, index) => ({ line: index + 1, fields: content.split("\t") }))
    .filter(({ fields }) => fields.length > 1 || fields[0] !== "");
  const top = rows[0]?.fields.map((name) => unquoted(name).trim()) ?? [];
  const hasHeader = columns === undefined || label.some((name) => top.includes(name));
  const body = hasHeader ? rows.slice(1) : rows;
  const suspects = body.flatMap(({ fields }) => fields.filter((field) => field.startsWith('"')));
  const isQuoted = suspects.length > 0 && suspects.filter(isWellQuoted).length >= 0.95 * suspects.length;
  return { header: hasHeader ? top : columns, rows: body, isQuoted };
}

function columnOf(header: readonly string[], names: readonly string[]): number {
  const name = names.find((candidate) => header.includes(candidate));
  if (name === undefined) {
    throw new RangeError(
      `No column ${names.map((n) => `"${n}"`).join(" or ")}; the file has ${header.join(", ")}.`,
    );
  }
  return header.indexOf(name);
}

function problemOf(
  fields: readonly string[],
  header: readonly string[],
  sentences: number[],
): string | undefined {
  if (fields.length !== header.length) return `${fields.length} columns, expected ${header.length}`;
  const empty = sentences.find((column) => fields[column]!.trim() === "");
  return empty === undefined ? undefined : `empty "${header[empty]}"`;
}

// By name or by index: "1" is class 1, unless a class is called "1".
function classOf(label: string, classes: readonly string[]): number | undefined {
  const named = classes.indexOf(label);
  if (named >= 0) return named;
  return /^\d+$/.test(label) && Number(label) < classes.length ? Number(label) : undefined;
}

// A CSV field: quotation marks around it, those inside doubled.
function isWellQuoted(field: string): boolean {
  return /^"(?:[^"]|"")*"$/.test(field);
}

function unquoted(field: string): string {
  return isWellQuoted(field) ? field.slice(1, -1).replaceAll('""', '"') : field;
}

function confusion(predicted: ArrayLike<number>, actual: ArrayLike<number>) {
  if (predicted.length !== actual.length || actual.length === 0) {
    throw new RangeError(
      `Expected as many predictions as labels, at least 1; got ${predicted.length} and ${actual.length}.`,
    );
  }
  const predictedCounts = new Map<number, number>();
  const actualCounts = new Map<number, number>();
  let correct = 0;
  let truePositives = 0;
  for (let i = 0; i < actual.length; i++) {
    const [p, a] = [predicted[i]!, actual[i]!];
    predictedCounts.set(p, (predictedCounts.get(p) ?? 0) + 1);
    actualCounts.set(a, (actualCounts.get(a) ?? 0) + 1);
    if (p === a) correct++;
    if (p === 1 && a === 1) truePositives++;
  }
  return { correct, truePositives, predictedCounts, actualCounts };
}
