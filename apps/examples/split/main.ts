// `npm run split`: a page runs the first half of MobileNet and sends feature maps to this server, which runs the second half.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { imageFolder } from "@bitdiet/zoo/data/imagenet";
import { exitWith, FailedError, numberFlag, parseFlags, pathFlag } from "@bitdiet/zoo/runner/command-line";
import { useBackend } from "@bitdiet/zoo/training/backend";
import cac from "cac";
import { servePage } from "./serve.js";
import { splitService } from "./service.js";

const DATA =
  process.env["BITDIET_DATA"] ?? fileURLToPath(new URL("../../../../shared/data", import.meta.url));

/** "n01440764 tench, Tinca tinca" is "tench". */
const classNames = (text: string): string[] =>
  text
    .split("\n")
    .filter(Boolean)
    .map((line) => line.slice(line.indexOf(" ") + 1).split(",")[0]);

await exitWith("npm run split", async () => {
  const cli = cac("npm run split --");
  cli
    .command("", "A page runs the first half of MobileNet, this server the second")
    .option("--model <path>", "model.json of a chain of layers (default MobileNet V1 0.25 of BITDIET_DATA)")
    .option(
      "--pictures <folder>",
      "ImageNet pictures with labels.txt and synset_words.txt (default those of BITDIET_DATA)",
    )
    .option("--layer <name>", "Last layer that the page runs (default conv_pw_6_bn)")
    .option("--bits <n>", "Bits a value that the codec is learned for (default 2)")
    .option("--learn <n>", "Pictures to learn from (default 120)")
    .option("--show <n>", "Pictures on the page (default 48)")
    .option("--port <n>", "Port to listen on (default 4180)")
    .action(() => {});
  const parsed = parseFlags(cli, process.argv.slice(2));
  if (parsed === undefined) return;
  const { flags } = parsed;
  const whole = (flag: string, fallback: number, least: number, most: number) =>
    numberFlag(flags, flag, { fallback, least, most });
  const [learn, show, port] = [
    whole("learn", 120, 1, 5000),
    whole("show", 48, 1, 500),
    whole("port", 4180, 0, 65535),
  ];
  const bits = numberFlag(flags, "bits", { fallback: 2, least: 0.1, most: 12, whole: false });
  const layer = String(flags["layer"] ?? "conv_pw_6_bn");
  const model = pathFlag(flags, "model", join(DATA, "models/mobilenet-v1-025-imagenet-tfjs/model.json"));
  const folder = pathFlag(flags, "pictures", join(DATA, "imagenet-val"));
  for (const path of [model, join(folder, "synset_words.txt")]) {
    if (!existsSync(path)) throw new FailedError(`${path} is not there: name yours, or set BITDIET_DATA`);
  }
  await useBackend("wasm");
  const pictures = imageFolder(folder);
  const names = classNames(readFileSync(join(folder, "synset_words.txt"), "utf8"));
  const used = { shown: pictures.slice(0, show), learned: pictures.slice(show, show + learn), names };
  if (used.learned.length === 0) throw new FailedError(`${folder}: expected more than ${show} pictures`);
  console.error(`Learning a codec for ${layer} from ${used.learned.length} pictures …`);
  const service = await splitService(model, layer, bits, used);
  const server = await servePage(service, port);
  console.log(`Open ${server.resolvedUrls!.local[0]} (codec: ${service.codec.bytes.length} bytes)`);
});
