// What a BERT is trained for: texts with their classes, the development sets, and the scores that count. Mails come with
// the install; everything else is read from a folder of the user's, in the layouts that data/glue.ts knows.
import { readFileSync } from "node:fs";
import {
  accuracy,
  describeSkipped,
  labelsIn,
  type Metric,
  readExamples,
  TASKS,
  type TextExample,
  type TextTask,
  taskFiles,
} from "@bitdiet/zoo/data/glue";
import { loadMails, SPAM_CLASSES } from "@bitdiet/zoo/data/spam";

export interface Task {
  name: string;
  classes: readonly string[];
  training: TextExample[];
  /** By name; the first is the one that is reported first. */
  development: Record<string, TextExample[]>;
  /** The first is the one that the benchmark ranks by. */
  metrics: Readonly<Record<string, Metric>>;
  /** A sentence for each file that had lines which are no examples. */
  notes: string[];
}

/** The names that `loadTask` knows. */
export const TASK_NAMES = ["spam", ...Object.keys(TASKS), "tsv"];

/** Column names of a task of the user's own. */
export interface Columns {
  first: string;
  second?: string;
  label: string;
}

/**
 * @param name "spam" needs no folder; "tsv" is a folder with train.tsv and dev.tsv, whose columns are given
 * @throws {RangeError} if files, columns or examples are missing; the message says which
 */
export function loadTask(name: string, folder: string | undefined, columns?: Columns): Task {
  if (name === "spam" || folder === undefined) {
    const { training, test } = loadMails();
    return {
      name,
      classes: SPAM_CLASSES,
      training,
      development: { test },
      metrics: { accuracy },
      notes: [],
    };
  }
  const task: TextTask = name === "tsv" ? ownTask(folder, columns!) : TASKS[name as keyof typeof TASKS];
  const { train, development } = taskFiles(folder, task);
  if (train === undefined || Object.keys(development).length === 0) {
    throw new RangeError(
      `${folder} has ${train === undefined ? "no training file" : "no development file"}; expected one of ` +
        `${(train === undefined ? task.files.train : Object.values(task.files.development).flat()).join(", ")}.`,
    );
  }
  const notes: string[] = [];
  const read = (path: string) => {
    const { examples, skipped } = readExamples(readFileSync(path, "utf8"), task);
    if (skipped.length > 0) notes.push(`${path}: ${describeSkipped(skipped)}`);
    return examples;
  };
  return {
    name,
    classes: task.classes,
    training: read(train),
    development: Object.fromEntries(Object.entries(development).map(([set, path]) => [set, read(path)])),
    metrics: task.metrics,
    notes,
  };
}

/** A task whose classes are the labels of its training file. */
function ownTask(folder: string, { first, second, label }: Columns): TextTask {
  const task = {
    first: [first],
    ...(second === undefined ? {} : { second: [second] }),
    label: [label],
    classes: [] as string[],
    metrics: { accuracy },
    files: { train: ["train.tsv"], development: { development: ["dev.tsv"] } },
  };
  const { train } = taskFiles(folder, task);
  if (train === undefined) throw new RangeError(`${folder} has no training file; expected train.tsv.`);
  return { ...task, classes: labelsIn(readFileSync(train, "utf8"), task) };
}
