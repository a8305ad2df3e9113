#!/usr/bin/env node
/**
 * The command `bitdiet`. Exit codes: 0 done, 1 size or score missed, 2 used wrongly, 3 a file that cannot be read.
 *
 *     bitdiet compress model.json --max-bytes 3MB -o model.bitdiet
 */
import { readFileSync } from "node:fs";
import { cac } from "cac";
import { BudgetError } from "../compress.js";
import { modelFiles } from "../formats/list.js";
import { FileExistsError, removeUnfinishedAtExit } from "../formats/whole-files.js";
import { ModelFileError } from "../model.js";
import type { CompressTarget } from "../quantize/target.js";
import type { UpdateTarget } from "../updates/encode.js";
import { compress } from "./compress.js";
import { decompress } from "./decompress.js";
import { diff } from "./diff.js";
import { inspect } from "./inspect.js";
import { join } from "./join.js";
import {
  bitsForOptions,
  bytesOption,
  channelsOption,
  dropOption,
  layoutOption,
  numberOption,
  shardOption,
  textOption,
  textOptions,
  UsageError,
} from "./options.js";
import { patch } from "./patch.js";
import { printable, printableLines, terminalProgress } from "./print.js";
import { verify } from "./verify.js";

type Options = Record<string, unknown>;

const cli = cac("bitdiet");
const progress = terminalProgress();
const text = (options: Options, key: string, flag: string) =>
  options[key] === undefined ? undefined : textOption(flag, options[key]);
const required = (value: string | undefined, flag: string) => {
  if (value === undefined) throw new UsageError(`${flag}: expected a path, got none`);
  return value;
};
const flag = (options: Options, key: string) => options[key] === true;

function targetOf(options: Options): CompressTarget | undefined {
  const given = ["maxBytes", "bits", "quality"].filter((key) => options[key] !== undefined);
  if (given.length > 1)
    throw new UsageError("expected one of --max-bytes, --bits and --quality, got several");
  if (given[0] === "maxBytes") return { maxBytes: bytesOption("--max-bytes", options["maxBytes"]) };
  if (given[0] === "bits") return { bits: numberOption("--bits", options["bits"], 0.05, 16) };
  if (given[0] === "quality") return { quality: numberOption("--quality", options["quality"], 0, 100) };
  return undefined;
}

function updateTargetOf(options: Options): UpdateTarget | undefined {
  const target = targetOf(options);
  if (target && flag(options, "exact"))
    throw new UsageError("expected one of --max-bytes, --quality and --exact, got several");
  return flag(options, "exact") ? { exact: true } : (target as UpdateTarget | undefined);
}

/** How much a coder that decodes slowly has to save, see `EncodeOptions`. */
function minGainOf(options: Options): number | undefined {
  const [fast, smallest] = [flag(options, "fast"), flag(options, "smallest")];
  if (fast && smallest) throw new UsageError("expected one of --fast and --smallest, got both");
  return fast ? 1 : smallest ? 0 : undefined;
}

cli
  .command("compress <model>", `Make a .bitdiet file of a model: ${modelFiles}`)
  .option("-o, --output <file>", "The file to write")
  .option("--max-bytes <size>", "Size of the file, e.g. 3MB or 300kB: met within 1 % below")
  .option("--bits <number>", "Mean coded bits a weight, e.g. 4.5")
  .option("--quality <number>", "0 (coarse) to 100 (fine)")
  .option(
    "--calibrate <data>",
    "Inputs: a folder of pictures, .npz, .npy, .jsonl, .txt, or a module that exports a function which gives them; synthetic: made-up ones; none: run nothing",
  )
  .option("--calibrate-count <n>", "Inputs at most, a seeded choice; default 128")
  .option(
    "--mean <numbers>",
    "What pixels of 0 to 1 are less by, one or one a channel, e.g. 0.485,0.456,0.406",
  )
  .option("--std <numbers>", "And what they are then divided by, e.g. 0.229,0.224,0.225")
  .option(
    "--layout <axes>",
    "NCHW or NHWC, where the model does not say; NCHW-BGR and NHWC-BGR with blue first",
  )
  .option("--tokenizer <file>", "The tokenizer.json of texts, if it is not beside the model")
  .option("--cache <folder>", "Keeps what was measured, so that another size of the same model takes less")
  .option("--curve <file>", "A page with other sizes and what they do to outputs, plain integers beside them")
  .option("--evaluate <module>", "A module whose default export gives the model's score")
  .option("--max-drop <drop>", "By how much the score may fall, e.g. 0.5% or 0.005")
  .option("--keep <pattern>", "Tensors that keep every bit, e.g. 'embed*'; may be given several times")
  .option("--bits-for <rule>", "Bits of some tensors, e.g. 'head/*=6'; may be given several times")
  .option(
    "--requantize",
    "Makes weights of integers that an ONNX model comes with; they are kept as they are else",
  )
  .option("--progressive", "A coarse model first, refined as the rest arrives")
  .option("--fast", "By the coders that decode fastest, in up to a tenth more bytes")
  .option("--smallest", "The fewest bytes, however slowly they decode")
  .option("--shard <i/n>", "Only the i-th of n parts of the tensors, for `bitdiet join`; a job each")
  .option("--strict", "Exit 1 if the outputs moved far, rather than warn")
  .option("--force", "Write over an existing file")
  .option("--json", "Print the report as JSON")
  .example("bitdiet compress model.json --max-bytes 3MB -o model.bitdiet")
  .action((path: string, options: Options) =>
    compress(
      String(path),
      {
        output: required(text(options, "output", "--output"), "--output"),
        target: targetOf(options),
        calibrate: text(options, "calibrate", "--calibrate"),
        data: {
          count: numberOption("--calibrate-count", options["calibrateCount"] ?? 128, 1, 1e6),
          ...channelsOption("--mean", options["mean"], "mean"),
          ...channelsOption("--std", options["std"], "std"),
          ...layoutOption("--layout", options["layout"]),
          tokenizer: text(options, "tokenizer", "--tokenizer"),
        },
        curve: text(options, "curve", "--curve"),
        cache: text(options, "cache", "--cache"),
        evaluate: text(options, "evaluate", "--evaluate"),
        maxDrop: options["maxDrop"] === undefined ? undefined : dropOption("--max-drop", options["maxDrop"]),
        keep: textOptions("--keep", options["keep"]),
        bitsFor: bitsForOptions("--bits-for", options["bitsFor"]),
        shard: options["shard"] === undefined ? undefined : shardOption("--shard", options["shard"]),
        progressive: flag(options, "progressive"),
        minGain: minGainOf(options),
        strict: flag(options, "strict"),
        requantize: flag(options, "requantize"),
        force: flag(options, "force"),
        json: flag(options, "json"),
      },
      progress,
    ),
  );

cli
  .command("join <...parts>", "Make one file of those that `compress --shard` made, as one job would have")
  .option("-o, --output <file>", "The file to write")
  .option("--force", "Write over an existing file")
  .option("--json", "Print what was written as JSON")
  .action((parts: string[], options: Options) =>
    join(
      parts.map(String),
      {
        output: required(text(options, "output", "--output"), "--output"),
        force: flag(options, "force"),
        json: flag(options, "json"),
      },
      progress,
    ),
  );

cli
  .command("inspect <file> [other]", "Show what is in a model, or how it differs from another")
  .option("--json", "Print the report as JSON")
  .option("--html <file>", "Write the report as a page that needs nothing else")
  .option("--force", "Write over an existing page")
  .action((path: string, other: string | undefined, options: Options) =>
    inspect(
      String(path),
      other === undefined ? undefined : String(other),
      { json: flag(options, "json"), html: text(options, "html", "--html"), force: flag(options, "force") },
      progress,
    ),
  );

cli
  .command("decompress <file>", "Write the model in the format that it had")
  .option("-o, --output <folder>", "The folder to write to")
  .option("--force", "Write over existing files")
  .option("--json", "Print what was written as JSON")
  .action((path: string, options: Options) =>
    decompress(
      String(path),
      {
        output: required(text(options, "output", "--output"), "--output"),
        force: flag(options, "force"),
        json: flag(options, "json"),
      },
      progress,
    ),
  );

cli
  .command("diff <base> <model>", "Make an update of a .bitdiet file: what has changed in a model since")
  .option("-o, --output <file>", "The update to write")
  .option("--max-bytes <size>", "Size of the update, e.g. 40kB: met within 1 % below")
  .option("--quality <number>", "0 (coarse) to 100 (fine); default: as fine as the base")
  .option("--exact", "Every number bit for bit")
  .option("--force", "Write over an existing file")
  .option("--json", "Print the report as JSON")
  .example("bitdiet diff v1.bitdiet model.json -o v2.bitdelta")
  .action((base: string, path: string, options: Options) =>
    diff(
      String(base),
      String(path),
      {
        output: required(text(options, "output", "--output"), "--output"),
        target: updateTargetOf(options),
        force: flag(options, "force"),
        json: flag(options, "json"),
      },
      progress,
    ),
  );

cli
  .command("patch <base> <update>", "Make the next .bitdiet file of one and its update")
  .option("-o, --output <file>", "The file to write")
  .option("--force", "Write over an existing file")
  .option("--json", "Print what was written as JSON")
  .action((base: string, update: string, options: Options) =>
    patch(
      String(base),
      String(update),
      {
        output: required(text(options, "output", "--output"), "--output"),
        force: flag(options, "force"),
        json: flag(options, "json"),
      },
      progress,
    ),
  );

cli
  .command("verify <file>", "Decode everything in a .bitdiet file and keep nothing")
  .option("--json", "Print the result as JSON")
  .action((path: string, options: Options) => verify(String(path), flag(options, "json"), progress));

cli.help();
cli.version(JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")).version);

/** What the error means for whoever called the command. */
function exitCode(error: Error): number {
  if (error instanceof BudgetError) return 1;
  if (error instanceof UsageError || error instanceof FileExistsError || error.name === "CACError") return 2;
  if (error instanceof ModelFileError || error.name === "CorruptInputError" || error.name === "DownloadError")
    return 3;
  // Files that the system does not give or take.
  return (error as NodeJS.ErrnoException).code === undefined ? 70 : 2;
}

removeUnfinishedAtExit();
process.stdout.on("error", ({ code, message }: NodeJS.ErrnoException) => {
  // Who reads no further, such as `head`, has what was wanted; a full disk has not.
  if (code === "EPIPE") process.exit(process.exitCode ?? 0);
  process.stderr.write(`bitdiet: standard output: ${message}\n`);
  process.exit(2);
});

try {
  const { options } = cli.parse(process.argv, { run: false });
  if (cli.matchedCommand) {
    if (!options["help"]) process.stdout.write(`${printableLines(await cli.runMatchedCommand())}\n`);
  } else if (!options["help"] && !options["version"]) {
    throw new UsageError(
      cli.args.length > 0
        ? `no command ${cli.args[0]}; bitdiet --help lists them`
        : "expected a command; bitdiet --help lists them",
    );
  }
} catch (error) {
  progress.stop();
  const { message, stack } = error as Error;
  process.exitCode = exitCode(error as Error);
  process.stderr.write(
    `bitdiet: ${process.exitCode === 70 ? printableLines(`${stack}`) : printable(message)}\n`,
  );
}
