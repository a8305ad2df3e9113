// `npm run data -- NAME --to DIR`: fetches a data set from its publisher.
import { resolve } from "node:path";
import cac from "cac";
import { fetchCifar10 } from "./cifar10-archive.js";

const cli = cac("npm run data --");
cli
  .command(
    "cifar10",
    "CIFAR-10 in its official binary layout: 60,000 images, 184 MB; free for research with citation",
  )
  .option("--to <dir>", "Where it goes; an interrupted download goes on")
  .action(async ({ to }: { to?: unknown }) => {
    if (typeof to !== "string" || to === "") throw new Error("--to: expected a folder");
    // Relative to where the user stands: npm runs a workspace's script in the workspace's folder.
    console.log(await fetchCifar10(resolve(process.env["INIT_CWD"] ?? ".", to)));
  });
cli.help();
try {
  const { args, options } = cli.parse(process.argv, { run: false });
  if (!cli.matchedCommand && !options.help) {
    throw new Error(`expected a data set (cifar10), got ${args[0] === undefined ? "none" : `"${args[0]}"`}`);
  }
  await cli.runMatchedCommand();
} catch (error) {
  console.error(`npm run data: ${(error as Error).message} (see npm run data -- --help)`);
  process.exit(2);
}
