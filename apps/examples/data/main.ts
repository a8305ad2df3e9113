// `npm run data -- NAME --to DIR`: fetches a data set from its publisher.

import { fetchCifar10 } from "@bitdiet/zoo/data/cifar10-archive";
import { unpackJpegs } from "@bitdiet/zoo/data/cifar10-jpeg";
import { exitWith, type Flags, pathFlag, UsageError } from "@bitdiet/zoo/runner/command-line";
import cac from "cac";

const cli = cac("npm run data --");
cli
  .command(
    "cifar10",
    "CIFAR-10 in its official binary layout: 60,000 images, 184 MB; free for research with citation",
  )
  .option("--to <dir>", "Where it goes; an interrupted download goes on")
  .action(async (flags: Flags) => {
    console.log(await fetchCifar10(pathFlag(flags, "to")));
  });
cli
  .command("cifar10-jpeg", "CIFAR-10 from train.tar.gz and test_dev.tar.gz of JPEGs, to the binary layout")
  .option("--from <dir>", "Folder of the two archives")
  .option("--to <dir>", "Where it goes")
  .action(async (flags: Flags) => {
    await unpackJpegs(pathFlag(flags, "from"), pathFlag(flags, "to"));
  });
cli.help();
await exitWith("npm run data", async () => {
  const { args, options } = cli.parse(process.argv, { run: false });
  if (!cli.matchedCommand && !options.help) {
    const given = args[0] === undefined ? "none" : `"${args[0]}"`;
    throw new UsageError(`expected a data set (cifar10, cifar10-jpeg), got ${given}`);
  }
  await cli.runMatchedCommand();
});
