// How a rank finds its neighbours: it listens at its own address for the one before it, and at no other, and connects to the
// next. Ranks start when they start: until then, it is tried again.
import { connect, createServer, type Socket } from "node:net";
import type { Launch } from "./launch.js";
import { admit, introduceTo, type Link } from "./link.js";

/** How long a rank may take to start. */
const START_MS = 60_000;
const AGAIN_MS = 200;
const MAX_STRANGERS = 16;

/** Makes a link of a connection, whose other end has proved who it is. */
export type Linked = (neighbour: number, socket: Socket, rest: Buffer) => Link;

/** Words about who is there. */
export interface Words {
  nameOf: (rank: number) => string;
  onStranger: (words: string) => void;
}

/**
 * Links this rank with both its neighbours.
 *
 * @returns the link to the next
 * @throws {Error} if one is not there in 60 s, or this rank's address is not to be had
 */
export async function neighbours(launch: Launch, words: Words, linked: Linked): Promise<Link> {
  const stop = new AbortController();
  const timer = setTimeout(() => stop.abort(), START_MS);
  try {
    const [, onward] = await Promise.all([
      before(launch, words, linked, stop.signal),
      next(launch, words, linked, stop.signal),
    ]);
    return onward;
  } finally {
    clearTimeout(timer);
    stop.abort();
  }
}

/** Waits for the rank before this one; who is somebody else is refused. */
function before(
  launch: Launch,
  { nameOf, onStranger }: Words,
  linked: Linked,
  stop: AbortSignal,
): Promise<void> {
  const { rank, hosts, port, token } = launch;
  const from = (rank + hosts.length - 1) % hosts.length;
  const server = createServer();
  server.maxConnections = MAX_STRANGERS;
  return new Promise<void>((resolve, reject) => {
    stop.addEventListener("abort", () => {
      server.close();
      reject(new Error(`${nameOf(from)} is not there after ${START_MS / 1000} s`));
    });
    server.on("error", ({ message }) => reject(new Error(`${nameOf(rank)}: ${message}`)));
    server.on("connection", async (socket) => {
      socket.on("error", () => {});
      try {
        const rest = await admit(socket, { token, from, to: rank });
        if (!server.listening) return void socket.destroy();
        server.close();
        linked(from, socket, rest);
        resolve();
      } catch (error) {
        onStranger(`${socket.remoteAddress} was refused: ${(error as Error).message}`);
      }
    });
    server.listen({ host: hosts[rank], port: port + rank });
  });
}

/** Connects to the rank after this one. */
async function next(
  { rank, hosts, port, token }: Launch,
  { nameOf }: Words,
  linked: Linked,
  stop: AbortSignal,
): Promise<Link> {
  const to = (rank + 1) % hosts.length;
  for (let why = ""; ; ) {
    if (stop.aborted) throw new Error(`${nameOf(to)} does not answer: ${why}; is its token the same?`);
    const socket = connect({ host: hosts[to], port: port + to });
    socket.on("error", () => {});
    try {
      return linked(to, socket, await introduceTo(socket, { token, from: rank, to }));
    } catch (error) {
      why = (error as Error).message;
    }
    await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
  }
}
