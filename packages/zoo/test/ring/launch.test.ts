import { describe, expect, it } from "vitest";
import { launchOf, nodeNames } from "../../src/ring/launch.js";

const BITDIET_TOKEN = "0123456789abcdef";

describe("a rank's place", () => {
  it.each([
    [
      "plain variables",
      { BITDIET_RANK: "1", BITDIET_RANKS: "2", BITDIET_HOSTS: "10.0.0.1, b", BITDIET_PORT: "5000" },
      { rank: 1, hosts: ["10.0.0.1", "b"], port: 5000 },
    ],
    [
      "mpirun on one machine",
      { OMPI_COMM_WORLD_RANK: "2", OMPI_COMM_WORLD_SIZE: "3", OMPI_COMM_WORLD_LOCAL_SIZE: "3" },
      { rank: 2, hosts: ["127.0.0.1", "127.0.0.1", "127.0.0.1"], port: 29400 },
    ],
    [
      "srun",
      {
        SLURM_PROCID: "4",
        SLURM_STEP_NUM_TASKS: "5",
        SLURM_STEP_NODELIST: "n[09-10],gpu",
        SLURM_STEP_TASKS_PER_NODE: "2(x2),1",
      },
      { rank: 4, hosts: ["n09", "n09", "n10", "n10", "gpu"], port: 29400 },
    ],
    [
      "mpirun in a Slurm job",
      {
        SLURM_PROCID: "0",
        SLURM_STEP_NUM_TASKS: "1",
        SLURM_STEP_NODELIST: "a",
        OMPI_COMM_WORLD_RANK: "1",
        OMPI_COMM_WORLD_SIZE: "2",
        OMPI_COMM_WORLD_LOCAL_SIZE: "1",
        BITDIET_HOSTS: "a,b",
      },
      { rank: 1, hosts: ["a", "b"], port: 29400 },
    ],
  ])("by %s", (_, environment, expected) => {
    // biome-ignore format: a case a line or two
    expect(launchOf({ ...environment, BITDIET_TOKEN })).toEqual({ ...expected, token: BITDIET_TOKEN });
  });

  it.each([
    [{}, "expected one of BITDIET_RANKS, OMPI_COMM_WORLD_SIZE"],
    [{ BITDIET_RANKS: "0" }, 'BITDIET_RANKS: expected a whole number from 1 to 1024, got "0"'],
    [{ BITDIET_RANKS: "2" }, "expected one of BITDIET_RANK, OMPI"],
    [{ BITDIET_RANKS: "2", BITDIET_RANK: "2" }, 'BITDIET_RANK: expected a whole number from 0 to 1, got "2"'],
    [
      { BITDIET_RANKS: "2", BITDIET_RANK: "1" },
      "BITDIET_HOSTS: expected a host a rank, with commas between, got none",
    ],
    [{ BITDIET_RANKS: "2", BITDIET_RANK: "1", BITDIET_HOSTS: "a" }, 'expected 2 hosts, one a rank, got "a"'],
    [
      { BITDIET_RANKS: "2", BITDIET_RANK: "1", BITDIET_HOSTS: "a,b" },
      "BITDIET_TOKEN: expected 16 characters or more, the same for all ranks, got 0",
    ],
    [
      { BITDIET_RANKS: "1", BITDIET_RANK: "0", BITDIET_HOSTS: "a", BITDIET_TOKEN, BITDIET_PORT: "x" },
      "BITDIET_PORT: expected",
    ],
    [
      { OMPI_COMM_WORLD_RANK: "1", OMPI_COMM_WORLD_SIZE: "2", OMPI_COMM_WORLD_LOCAL_SIZE: "1" },
      "BITDIET_HOSTS",
    ],
  ])("is refused for %j", (environment, message) => {
    // biome-ignore format: a case a line or two
    expect(() => launchOf(environment)).toThrow(message);
  });

  it.each([
    ["a", ["a"]],
    ["a,b-1", ["a", "b-1"]],
    ["n[1-3,07]-x,m[9-10]", ["n1-x", "n2-x", "n3-x", "n07-x", "m9", "m10"]],
  ])("spells out Slurm's %s", (list, names) => {
    expect(nodeNames(list)).toEqual(names);
  });
});
