// `npm run data -- NAME --to DIR`: fetches a data set from its publisher.
import { resolve } from "node:path";
import cac from "cac";
import { fetchCifar10 } from "./cifar10-archive.js";
import { unpackJpegs } from "./cifar10-jpeg.js";

/** Relative to where the user stands: npm runs a workspace's script in the workspace's folder. */
function pathOf(flag: string, value: unknown): string {
  if (typeof value !== "string" || value === "") throw new Error(`--${flag}: expected a folder`);
  return resolve(process.env["INIT_CWD"] ?? ".", value);
}

const cli = cac("npm run data --");
cli
  .command(
    "cifar10",
    "CIFAR-10 in its official binary layout: 60,000 images, 184 MB; free for research with citation",
  )
  .option("--to <dir>", "Where it goes; an interrupted download goes on")
  .action(async ({ to }: { to?: unknown }) => {
    console.log(await fetchCifar10(pathOf("to", to)));
  });
cli
  .command("cifar10-jpeg", "CIFAR-10 from train.tar.gz and test_dev.tar.gz of JPEGs, to the binary layout")
  .option("--from <dir>", "Folder of the two archives")
  .option("--to <dir>", "Where it goes")
  .action(async ({ from, to }: { from?: unknown; to?: unknown }) => {
    await unpackJpegs(pathOf("from", from), pathOf("to", to));
  });
cli.help();
try {
  const { args, options } = cli.parse(process.argv, { run: false });
  if (!cli.matchedCommand && !options.help) {
    throw new Error(
      `expected a data set (cifar10, cifar10-jpeg), got ${args[0] === undefined ? "none" : `"${args[0]}"`}`,
    );
  }
  await cli.runMatchedCommand();
} catch (error) {
  console.error(`npm run data: ${(error as Error).message} (see npm run data -- --help)`);
  process.exit(2);
}
