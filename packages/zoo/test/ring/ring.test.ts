import { connect, createServer, type Server, type Socket } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { normal, uniform } from "../../src/data/random.js";
import type { Launch } from "../../src/ring/launch.js";
import { MAX_VALUES } from "../../src/ring/link.js";
import { joinRing, LostError, type Ring } from "../../src/ring/ring.js";
import { freePorts } from "./free-ports.js";

const token = "0123456789abcdef";
const rings: Ring[] = [];
afterEach(async () => {
  await Promise.all(rings.splice(0).map((ring) => ring.close()));
});

/** All ranks of a ring in one process. */
async function ringsOf(
  ranks: number,
  heard: { lost: string[]; strangers: string[] } = { lost: [], strangers: [] },
) {
  const port = await freePorts(ranks);
  const hosts = new Array<string>(ranks).fill("127.0.0.1");
  const joined = hosts.map((_, rank) =>
    joinRing(
      { rank, hosts, port, token },
      ({ message }) => heard.lost.push(message),
      (words) => heard.strangers.push(words),
    ),
  );
  const made = await Promise.all(joined);
  rings.push(...made);
  return { made, port };
}

const noise = (seed: number, length: number) => {
  const next = normal(uniform(seed));
  return Float32Array.from({ length }, next);
};

/** Added one after the other. */
const folded = ([first, ...others]: Float32Array[]) => {
  const sum = first.slice();
  for (const one of others) for (let i = 0; i < sum.length; i++) sum[i] += one[i];
  return sum;
};

describe("a ring's sum", () => {
  it.each([1, 2, 3, 4])("of %i ranks is to the bit what one finds, whatever the length", async (ranks) => {
    const { made } = await ringsOf(ranks);
    for (const length of [0, 1, MAX_VALUES - 1, MAX_VALUES, 3 * MAX_VALUES + 5]) {
      const shares = Array.from({ length: 12 }, (_, share) => noise(share, length));
      const each = 12 / ranks;
      const totals = made.map(() => new Float32Array(length));
      await Promise.all(made.map((ring, r) => ring.sum(shares.slice(r * each, (r + 1) * each), totals[r])));
      for (const total of totals) expect(total).toEqual(folded(shares));
    }
  });

  it("can be asked for again at once: no sum takes what belongs to another", async () => {
    const { made } = await ringsOf(3);
    const run = async (ring: Ring, rank: number) => {
      const totals: Float32Array[] = [];
      for (let step = 0; step < 20; step++) {
        const total = new Float32Array(2 * MAX_VALUES);
        await ring.sum([noise(100 * step + rank, total.length)], total);
        await ring.sum([Float32Array.of(rank)], totals[0]?.subarray(0, 1).slice() ?? new Float32Array(1));
        totals.push(total);
      }
      return totals;
    };
    const all = await Promise.all(made.map(run));
    expect(all[1]).toEqual(all[0]);
    expect(all[2]).toEqual(all[0]);
    expect(all[0][7]).toEqual(folded([700, 701, 702].map((seed) => noise(seed, 2 * MAX_VALUES))));
  });

  it("shares what rank 0 has, every bit of it", async () => {
    const { made } = await ringsOf(3);
    const own = Float32Array.from({ length: MAX_VALUES + 3 }, (_, i) => (i % 2 ? -0 : i));
    const all = made.map((_, rank) => (rank === 0 ? own : new Float32Array(own.length).fill(7)));
    await Promise.all(made.map((ring, rank) => ring.share(all[rank])));
    for (const one of all) expect(one).toEqual(own);
  });

  it("fails where ranks sum different things", async () => {
    const { made } = await ringsOf(2);
    const sums = made.map((ring, rank) => ring.sum([new Float32Array(2 + rank)], new Float32Array(2 + rank)));
    await expect(Promise.race(sums)).rejects.toThrow(
      "ranks train different things: expected 12 bytes of a sum, got 8",
    );
    sums[0].catch(() => {});
  });
});

describe("a rank that is lost", () => {
  it("ends all with its name, in the middle of a sum or not", async () => {
    const heard = { lost: [] as string[], strangers: [] };
    const { made, port } = await ringsOf(4, heard);
    const waits = [0, 1, 3].map((rank) => made[rank].sum([new Float32Array(5)], new Float32Array(5)));
    const ends = Promise.allSettled(waits);
    await made[2].close("the disk is full");
    for (const end of await ends) {
      expect(end).toMatchObject({
        status: "rejected",
        reason: { message: "the disk is full", name: "LostError" },
      });
    }
    await expect(made[0].sum([new Float32Array(1)], new Float32Array(1))).rejects.toBeInstanceOf(LostError);
    expect(heard.lost).toEqual(new Array(3).fill("the disk is full"));
    expect(port).toBeGreaterThan(0);
  });

  it("is one that says nothing, too", async () => {
    const silent = await proxied();
    const begin = performance.now();
    const sum = silent.ring.sum([new Float32Array(5)], new Float32Array(5));
    silent.cut();
    await expect(sum).rejects.toThrow(/rank 1 at 127\.0\.0\.9:\d+ was lost: not a word for 6 s/);
    expect(performance.now() - begin).toBeLessThan(10_000);
    await silent.end();
  }, 30_000);
});

describe("a stranger", () => {
  it("who does not know the token is refused, and who does is not kept waiting", async () => {
    const port = await freePorts(2);
    const hosts = ["127.0.0.1", "127.0.0.1"];
    const strangers: string[] = [];
    const first = joinRing({ rank: 0, hosts, port, token }, () => {}, (words) => strangers.push(words)); // biome-ignore format: one line
    const said: Buffer[] = [];
    const stranger = connect({ host: "127.0.0.1", port });
    stranger.on("error", () => {});
    stranger.on("data", (bytes) => said.push(bytes));
    await new Promise((resolve) => stranger.once("data", resolve));
    stranger.write(Buffer.alloc(64, 1));
    await new Promise((resolve) => stranger.once("close", resolve));
    const second = joinRing({ rank: 1, hosts, port, token }, () => {}, () => {}); // biome-ignore format: one line
    rings.push(await first, await second);
    expect(Buffer.concat(said).length).toBe(32); // a question, no answer
    expect(strangers).toEqual([expect.stringContaining("was refused: it does not know the token")]);
    await expect(new Promise((resolve, reject) => connect({ host: "127.0.0.1", port }).on("error", reject).on("connect", resolve))).rejects.toThrow("ECONNREFUSED"); // biome-ignore format: one line
  });

  it("finds nobody at an address that was not given", async () => {
    const port = await freePorts(1);
    const hosts = ["127.0.0.2", "127.0.0.3"];
    const waiting = joinRing({ rank: 0, hosts, port, token } satisfies Launch, () => {}, () => {}); // biome-ignore format: one line
    await expect(reach("127.0.0.1", port)).rejects.toThrow("ECONNREFUSED");
    await new Promise((resolve) => setTimeout(resolve, 100));
    await reach("127.0.0.2", port);
    rings.push(...(await Promise.all([waiting, joinRing({ rank: 1, hosts, port, token }, () => {}, () => {})]))); // biome-ignore format: one line
  });
});

const reach = (host: string, port: number) =>
  new Promise<void>((resolve, reject) => {
    const socket = connect({ host, port });
    socket.on("error", reject);
    socket.on("connect", () => {
      socket.destroy();
      resolve();
    });
  });

/** Two ranks whose words go through a third place, which can swallow them without hanging up: a cable that is pulled. */
async function proxied() {
  const port = await freePorts(4);
  let isCut = false;
  const servers: Server[] = [];
  const sockets: Socket[] = [];
  const through = (from: number, to: number, host: string) => {
    const server = createServer((socket) => {
      const other = connect({ host: "127.0.0.1", port: to });
      for (const [a, b] of [
        [socket, other],
        [other, socket],
      ]) {
        // biome-ignore format: pairs
        sockets.push(a);
        a.on("error", () => {});
        a.on("data", (bytes) => isCut || b.write(bytes));
        a.on("close", () => isCut || b.destroy());
      }
    });
    servers.push(server);
    return new Promise<void>((resolve) => server.listen(from, host, resolve));
  };
  // Each rank listens at 127.0.0.1 and looks for the other at an address of the third place.
  await through(port + 1, port + 1, "127.0.0.9");
  await through(port, port, "127.0.0.9");
  const join = (rank: number) =>
    joinRing(
      { rank, hosts: [0, 1].map((one) => (one === rank ? "127.0.0.1" : "127.0.0.9")), port, token },
      () => {},
      () => {},
    );
  const [ring, other] = await Promise.all([join(0), join(1)]);
  rings.push(ring, other);
  return {
    ring,
    cut: () => void (isCut = true),
    end: async () => {
      for (const socket of sockets) socket.destroy();
      for (const server of servers) server.close();
    },
  };
}
