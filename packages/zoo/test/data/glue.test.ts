import { mkdtemp, readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import {
  accuracy,
  describeSkipped,
  f1,
  labelsIn,
  matthews,
  readExamples,
  TASKS,
  taskFiles,
} from "../../src/data/glue.js";
import { dataFile } from "../../src/data/outside.js";

const table = (...rows: string[][]) => `${rows.map((row) => row.join("\t")).join("\n")}\n`;

describe("file layouts", () => {
  it("reads CoLA's four columns, which have no header", () => {
    const { examples, skipped } = readExamples(
      table(["gj04", "1", "", "They drank the pub dry."], ["gj04", "0", "*", "They drank the pub."]),
      TASKS.cola,
    );
    expect(examples).toEqual([
      { first: "They drank the pub dry.", label: 1 },
      { first: "They drank the pub.", label: 0 },
    ]);
    expect(skipped).toEqual([]);
  });

  it("reads CoLA with a header too", () => {
    const { examples } = readExamples(table(["label", "sentence"], ["1", "Bill sighed."]), TASKS.cola);
    expect(examples).toEqual([{ first: "Bill sighed.", label: 1 }]);
  });

  it("reads MNLI by its column names, training and development alike, and lists lines without a gold label", () => {
    const names = [
      "index",
      "promptID",
      "pairID",
      "genre",
      "sentence1_binary_parse",
      "sentence2_binary_parse",
    ];
    const parses = ["sentence1_parse", "sentence2_parse", "sentence1", "sentence2"];
    const row = (labels: string[]) => [
      "0",
      "31193",
      "31193n",
      "fiction",
      "( a )",
      "( b )",
      "(ROOT)",
      "(ROOT)",
      'A "quote',
      "B",
      ...labels,
    ];
    const train = table([...names, ...parses, "label1", "gold_label"], row(["neutral", "neutral"]));
    expect(readExamples(train, TASKS.mnli).examples).toEqual([{ first: 'A "quote', second: "B", label: 1 }]);
    const votes = ["label1", "label2", "label3", "label4", "label5", "gold_label"];
    const development = table(
      [...names, ...parses, ...votes],
      row(["neutral", "entailment", "entailment", "neutral", "contradiction", "-"]),
      row([
        "contradiction",
        "contradiction",
        "contradiction",
        "contradiction",
        "contradiction",
        "contradiction",
      ]),
    );
    const { examples, skipped } = readExamples(development, TASKS.mnli);
    expect(examples.map(({ label }) => label)).toEqual([2]);
    expect(skipped).toEqual([{ line: 2, reason: 'label "-"' }]);
  });

  it("reads RTE's labels by name or by number, and MRPC under both of its headers", () => {
    const rte = table(
      ["index", "sentence1", "sentence2", "label"],
      ["0", "A.", "B.", "not_entailment"],
      ["1", "C.", "D.", "0"],
    );
    expect(readExamples(rte, TASKS.rte).examples.map(({ label }) => label)).toEqual([1, 0]);
    const glue = table(
      ["Quality", "#1 ID", "#2 ID", "#1 String", "#2 String"],
      ["1", "702876", "702977", "A .", "B ."],
    );
    const datasets = table(["index", "label", "sentence1", "sentence2"], ["0", "1", "A .", "B ."]);
    expect(readExamples(glue, TASKS.mrpc).examples).toEqual([{ first: "A .", second: "B .", label: 1 }]);
    expect(readExamples(datasets, TASKS.mrpc)).toEqual(readExamples(glue, TASKS.mrpc));
  });

  it("takes quotation marks off where the file is quoted, and leaves them where it is not", () => {
    const header = ["sentence1", "sentence2", "label"];
    const quoted = table(header, ['"He said ""no"" ."', "Plain", "0"], ['"A, b"', "C", "1"]);
    expect(readExamples(quoted, TASKS.rte).examples.map(({ first }) => first)).toEqual([
      'He said "no" .',
      "A, b",
    ]);
    const raw = table(header, ['"No," he said.', "Plain", "0"], ['"Yes."', "C", "1"]);
    expect(readExamples(raw, TASKS.rte).examples.map(({ first }) => first)).toEqual([
      '"No," he said.',
      '"Yes."',
    ]);
  });

  it("reads any table by column names, with its own classes", () => {
    const text = '\uFEFFbody\tkind\r\nhello\tham\r\nbuy\tspam\r\n"a ""b"""\tham\r\n';
    const task = { first: ["body"], label: ["kind"], classes: labelsIn(text, { label: ["kind"] }) };
    expect(task.classes).toEqual(["ham", "spam"]);
    expect(readExamples(text, task).examples).toEqual([
      { first: "hello", label: 0 },
      { first: "buy", label: 1 },
      { first: 'a "b"', label: 0 },
    ]);
    expect(labelsIn(table(["label", "x"], ["10", "a"], ["2", "b"], ["", "c"]), { label: ["label"] })).toEqual(
      ["2", "10"],
    );
  });

  it("counts and names malformed lines", () => {
    const text = table(
      ["sentence", "label"],
      ["good", "1"],
      ["two", "1", "2"],
      ["", "1"],
      ["odd", "7"],
      ["short"],
    );
    const { examples, skipped } = readExamples(text, TASKS.sst2);
    expect(examples).toEqual([{ first: "good", label: 1 }]);
    expect(describeSkipped(skipped)).toBe(
      '4 lines skipped (line 3: 3 columns, expected 2; line 4: empty "sentence"; line 5: label "7"; line 6: 1 columns, expected 2).',
    );
    expect(describeSkipped([])).toBe("");
  });

  it("says which column is missing and which are there", () => {
    expect(() => readExamples(table(["index", "sentence"], ["0", "a"]), TASKS.sst2)).toThrow(
      /No column "label"; the file has index, sentence/,
    );
    expect(() => readExamples(table(["sentence", "label"], ["a", "maybe"]), TASKS.sst2)).toThrow(
      /no examples.*line 2/,
    );
    expect(() => readExamples("", TASKS.sst2)).toThrow(RangeError);
  });

  it("finds the files of a task in a folder", async () => {
    const folder = await mkdtemp(join(tmpdir(), "bitdiet-glue-"));
    expect(() => taskFiles(folder, TASKS.mnli)).toThrow(/holds none of train.tsv.*dev_mismatched.tsv/);
    for (const file of ["train.tsv", "dev_matched.tsv", "dev_mismatched.tsv"])
      await writeFile(join(folder, file), "");
    expect(taskFiles(folder, TASKS.mnli)).toEqual({
      train: join(folder, "train.tsv"),
      development: {
        matched: join(folder, "dev_matched.tsv"),
        mismatched: join(folder, "dev_mismatched.tsv"),
      },
    });
  });
});

describe("real files", () => {
  const known = [
    [
      "cola",
      "cola/in_domain_train.tsv",
      8551,
      { first: "Our friends won't buy this analysis, let alone the next one we propose.", label: 1 },
    ],
    [
      "cola",
      "cola/in_domain_dev.tsv",
      527,
      { first: "The sailors rode the breeze clear of the rocks.", label: 1 },
    ],
    ["sst2", "sst2/train.tsv", 67349, { first: "hide new secretions from the parental units", label: 0 }],
    ["sst2", "sst2/dev.tsv", 872, { first: "it 's a charming and often affecting journey .", label: 1 }],
    [
      "mrpc",
      "mrpc/train.tsv",
      3668,
      {
        first:
          'Amrozi accused his brother , whom he called " the witness " , of deliberately distorting his evidence .',
        second:
          'Referring to him as only " the witness " , Amrozi accused his brother of deliberately distorting his evidence .',
        label: 1,
      },
    ],
    [
      "rte",
      "rte/train.tsv",
      2490,
      {
        first: "No Weapons of Mass Destruction Found in Iraq Yet.",
        second: "Weapons of Mass Destruction Found in Iraq.",
        label: 1,
      },
    ],
    [
      "snli",
      "snli/validation.tsv",
      9842,
      {
        first: "Two women are embracing while holding to go packages.",
        second: "The sisters are hugging goodbye while holding to go packages after just eating lunch.",
        label: 1,
      },
    ],
  ] as const;
  for (const [task, path, count, first] of known) {
    const file = dataFile(`text/${path}`);
    it.skipIf(!file)(`${path} has its ${count} examples and not one malformed line`, async () => {
      const { examples, skipped } = readExamples(await readFile(file!, "utf8"), TASKS[task]);
      expect(skipped).toEqual([]);
      expect(examples.length).toBe(count);
      expect(examples[0]).toEqual(first);
    });
  }
});

describe("metrics", () => {
  it("Matthews' correlation is scikit-learn's", () => {
    // The example of scikit-learn's documentation.
    expect(matthews([1, 0, 1, 1], [1, 1, 1, 0])).toBeCloseTo(-1 / 3, 12);
    // 6 of class 1, 6 of class 0; 5 true positives, 4 true negatives.
    const actual = [1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0];
    const predicted = [1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 1, 1];
    expect(matthews(predicted, actual)).toBeCloseTo((5 * 4 - 2 * 1) / Math.sqrt(7 * 6 * 6 * 5), 12);
    expect(matthews([1, 1, 1], [0, 1, 0])).toBe(0);
    // c = 4, s = 6, p = (3, 2, 1), t = (2, 2, 2).
    expect(matthews([0, 0, 0, 1, 1, 2], [0, 0, 1, 1, 2, 2])).toBeCloseTo(
      (4 * 6 - 12) / Math.sqrt((36 - 14) * (36 - 12)),
      12,
    );
  });

  it("F1 and accuracy count as their definitions do", () => {
    expect(f1([1, 1, 0, 0], [1, 0, 1, 0])).toBe(0.5);
    expect(f1([0, 0], [0, 0])).toBe(0);
    expect(accuracy([1, 2, 0], [1, 2, 2])).toBeCloseTo(2 / 3, 12);
    expect(() => accuracy([1], [1, 0])).toThrow(RangeError);
    expect(() => accuracy([], [])).toThrow(RangeError);
  });
});
