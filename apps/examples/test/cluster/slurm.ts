// A Slurm of one node with two CPUs, from Debian's packages, in the foreground and in a folder of its own, for as long as
// a test runs. Its own munge key, sockets and ports: another Slurm of the machine is not touched.
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, openSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { hostname, tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

export interface Slurm {
  /** Runs one of its commands. @returns what it prints */
  command(name: string, ...args: string[]): Promise<string>;
  stop(): Promise<void>;
}

export const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** Starts it. @throws {Error} saying why it cannot */
export async function startSlurm(): Promise<Slurm> {
  const folder = mkdtempSync(join(tmpdir(), "bitdiet-slurm-"));
  chmodSync(folder, 0o755); // munge insists
  for (const name of ["munge", "state", "spool"]) mkdirSync(join(folder, name), { mode: 0o755 });
  writeFileSync(join(folder, "munge.key"), randomBytes(128), { mode: 0o400 });
  const conf = join(folder, "slurm.conf");
  writeFileSync(conf, configuration(folder, await freePort(), await freePort()));
  const environment = { ...process.env, SLURM_CONF: conf };
  const daemons: ChildProcess[] = [];
  const start = (name: string, ...args: string[]) => {
    const log = openSync(join(folder, `${name}.log`), "a");
    // Should this process be killed, they go, too.
    const options = { stdio: ["ignore" as const, log, log], env: environment };
    const daemon = spawn("setpriv", ["--pdeathsig", "TERM", name, ...args], options);
    daemon.on("error", () => {}); // it has no number then
    daemons.push(daemon);
  };
  const command = async (name: string, ...args: string[]) =>
    (await promisify(execFile)(name, args, { env: environment, timeout: 300_000 })).stdout;
  const stop = async () => {
    for (let i = 0; i < 30 && (await command("squeue", "-h").catch(() => "")) !== ""; i++) {
      await command("scancel", "--user", userInfo().username).catch(() => {});
      await pause(500);
    }
    for (const daemon of daemons.reverse()) await ended(daemon);
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    const munge = (name: string) => join(folder, "munge", name);
    start("munged", "--foreground", "--force", "--num-threads=1", `--key-file=${join(folder, "munge.key")}`,
      ...["socket", "pid-file", "log-file", "seed-file"].map((name) => `--${name}=${munge(name)}`)); // biome-ignore format: one option a kind
    await until(() => existsSync(munge("socket")), daemons, "munged");
    start("slurmctld", "-D", "-c", "-f", conf);
    start("slurmd", "-D", "-f", conf, "-N", node());
    await until(async () => /idle/.test(await command("sinfo", "-h").catch(() => "")), daemons, "Slurm");
    return { command, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

const node = () => hostname().split(".")[0];

const configuration = (folder: string, controllerPort: number, nodePort: number) => `
ClusterName=test
SlurmctldHost=${node()}(127.0.0.1)
SlurmctldPort=${controllerPort}
SlurmdPort=${nodePort}
SlurmUser=${userInfo().username}
SlurmdUser=${userInfo().username}
AuthType=auth/munge
AuthInfo=socket=${folder}/munge/socket
StateSaveLocation=${folder}/state
SlurmdSpoolDir=${folder}/spool
SlurmctldPidFile=${folder}/slurmctld.pid
SlurmdPidFile=${folder}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=sched_interval=5,bf_interval=5
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
ReturnToService=2
KillWait=30
NodeName=${node()} NodeAddr=127.0.0.1 CPUs=2 RealMemory=8000
PartitionName=test Nodes=${node()} Default=YES
`;

async function until(
  isSo: () => boolean | Promise<boolean>,
  daemons: readonly ChildProcess[],
  what: string,
): Promise<void> {
  for (let i = 0; i < 100; i++) {
    if (await isSo()) return;
    if (daemons.some(({ exitCode, pid }) => exitCode !== null || pid === undefined)) break;
    await pause(200);
  }
  throw new Error(`${what} does not start`);
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.on("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}

function ended(daemon: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    if (daemon.exitCode !== null || daemon.signalCode !== null || daemon.pid === undefined) return resolve();
    const timer = setTimeout(() => daemon.kill("SIGKILL"), 10_000);
    daemon.on("exit", () => {
      clearTimeout(timer);
      resolve();
    });
    daemon.kill("SIGTERM");
  });
}
