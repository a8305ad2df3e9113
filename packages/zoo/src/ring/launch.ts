// Which of several processes this one is, and where all of them are, as whoever started them says: mpirun, srun, or plain
// variables. Example: BITDIET_RANK=1 BITDIET_RANKS=2 BITDIET_HOSTS=10.0.0.1,10.0.0.2 BITDIET_TOKEN=…
import { UsageError } from "../runner/command-line.js";

/** A process's place among those that train together. */
export interface Launch {
  /** 0 to one less than there are hosts. */
  rank: number;
  /** Each rank's host, which it listens at, and nowhere else. */
  hosts: readonly string[];
  /** Rank 0's port; rank r has the one r above it. */
  port: number;
  /** What all ranks know and nobody else: who doesn't is refused. */
  token: string;
}

type Environment = Record<string, string | undefined>;

const RANKS = ["BITDIET_RANK", "OMPI_COMM_WORLD_RANK", "PMI_RANK", "SLURM_PROCID"];
const SIZES = ["BITDIET_RANKS", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS"];
const MIN_TOKEN = 16;

/** @throws {UsageError} naming the variable that is missing or wrong */
export function launchOf(environment: Environment = process.env): Launch {
  const ranks = numberOf(environment, SIZES, 1, 1024);
  const rank = numberOf(environment, RANKS, 0, ranks - 1);
  const hosts = hostsOf(environment, ranks);
  const token = environment["BITDIET_TOKEN"] ?? "";
  if (token.length < MIN_TOKEN)
    throw new UsageError(
      `BITDIET_TOKEN: expected ${MIN_TOKEN} characters or more, the same for all ranks, got ${token.length}`,
    );
  const port =
    environment["BITDIET_PORT"] === undefined
      ? 29_400
      : numberOf(environment, ["BITDIET_PORT"], 1, 65_535 - ranks);
  return { rank, hosts, port, token };
}

function numberOf(environment: Environment, names: readonly string[], least: number, most: number): number {
  const name = names.find((one) => environment[one] !== undefined);
  if (name === undefined)
    throw new UsageError(`expected one of ${names.join(", ")}: start this by srun or mpirun`);
  const value = environment[name] ?? "";
  if (/^\d{1,9}$/.test(value) && Number(value) >= least && Number(value) <= most) return Number(value);
  throw new UsageError(
    `${name}: expected a whole number from ${least} to ${most}, got ${JSON.stringify(value)}`,
  );
}

/** A host a rank: as given, Slurm's nodes, or this machine if all ranks are on it. */
function hostsOf(environment: Environment, ranks: number): string[] {
  const given = environment["BITDIET_HOSTS"];
  const nodes = environment["SLURM_STEP_NODELIST"];
  const isOmpi = environment["OMPI_COMM_WORLD_SIZE"] !== undefined;
  const hosts =
    given !== undefined
      ? given.split(",")
      : nodes !== undefined && !isOmpi
        ? ofTasks(nodeNames(nodes), environment["SLURM_STEP_TASKS_PER_NODE"] ?? "1")
        : environment["OMPI_COMM_WORLD_LOCAL_SIZE"] === `${ranks}`
          ? new Array<string>(ranks).fill("127.0.0.1")
          : undefined;
  if (hosts === undefined)
    throw new UsageError("BITDIET_HOSTS: expected a host a rank, with commas between, got none");
  if (hosts.length !== ranks || hosts.some((host) => host.trim() === ""))
    throw new UsageError(`BITDIET_HOSTS: expected ${ranks} hosts, one a rank, got "${hosts.join(",")}"`);
  return hosts.map((host) => host.trim());
}

/** Slurm's list of nodes, spelled out: "a[1-2,07],b" is a1, a2, a07, b. */
export function nodeNames(list: string): string[] {
  const groups = list.match(/[^,[]+(?:\[[^\]]*\])?[^,[]*/g) ?? [];
  return groups.flatMap((group) => {
    const [, before, ranges, after] = /^([^[]*)\[([^\]]*)\](.*)$/.exec(group) ?? [];
    if (ranges === undefined) return [group];
    return ranges.split(",").flatMap((range) => {
      const [from, to = from] = range.split("-");
      const count = Number(to) - Number(from) + 1;
      return Array.from(
        { length: count },
        (_, i) => `${before}${`${Number(from) + i}`.padStart(from.length, "0")}${after}`,
      );
    });
  });
}

/** A node as often as it has tasks, in blocks, as Slurm places them unless told otherwise: "2(x3),1". */
function ofTasks(nodes: readonly string[], tasks: string): string[] {
  const counts = tasks.split(",").flatMap((group) => {
    const [, count, times = "1"] = /^(\d+)(?:\(x(\d+)\))?$/.exec(group) ?? [];
    return new Array<number>(Number(times)).fill(Number(count));
  });
  return nodes.flatMap((node, i) => new Array<string>(counts[i] ?? 0).fill(node));
}
