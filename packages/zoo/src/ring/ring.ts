// Sums over processes of several machines, each connected to the next. A sum goes from rank 0 to the last, every rank adding
// what it has, and the total goes on around from there, in pieces, so that all links are busy at a time. Rings that halve the
// way (Patarasuk and Yuan, JPDC 69, 2009) start each piece at another rank: their rounding depends on how many there are.
// Here values are added in one order whatever the number of ranks; a link carries at most twice the sum's bytes.
import type { Launch } from "./launch.js";
import { type Frame, framesOver, Kind, type Link, MAX_VALUES } from "./link.js";
import { neighbours } from "./neighbours.js";

export interface Ring {
  /**
   * Adds up what all ranks have, in their order: ((a0 + a1) + b0) + b1 where rank 0 has [a0, a1] and rank 1 [b0, b1].
   *
   * @param total where the sum goes, as long as each of `own`
   * @throws {LostError} if a rank is lost before it is done
   */
  sum(own: readonly Float32Array[], total: Float32Array): Promise<void>;
  /** Gives all ranks what rank 0 has. @throws {LostError} likewise */
  share(values: Float32Array): Promise<void>;
  /** Leaves, with a reason if the others cannot go on without it; done once all that was sent is on its way. */
  close(reason?: string): Promise<void>;
}

/** A rank ended, or can't be heard any more: nobody can go on. */
export class LostError extends Error {
  override name = "LostError";
}

const MAX_WORDS = 500;

/**
 * Connects to the next rank, and waits for the one before.
 *
 * @param onLost called when a rank is lost, also while no sum is under way
 * @param onStranger called with what connected and was refused
 * @throws {LostError} if a rank is not there in 60 s, or does not know the token
 */
export async function joinRing(
  launch: Launch,
  onLost: (error: LostError) => void,
  onStranger: (words: string) => void,
): Promise<Ring> {
  const { rank, hosts, port } = launch;
  const ranks = hosts.length;
  if (ranks === 1) return alone;
  const nameOf = (one: number) => `rank ${one} at ${hosts[one]}:${port + one}`;
  const links: Link[] = [];
  const frames = queue();
  let isOver = false;
  const close = async (kind: Kind, words = "") => {
    isOver = true;
    for (const link of links) link.send(kind, Buffer.from(words).subarray(0, MAX_WORDS));
    await Promise.all(links.map((link) => link.close()));
  };
  const lose = (words: string) => {
    if (isOver) return;
    const error = new LostError(words);
    void close(Kind.abort, words);
    frames.fail(error);
    onLost(error);
  };
  const onFrame = (frame: Frame) => {
    if (frame.kind === Kind.abort) lose(frame.bytes.toString());
    else if (frame.kind !== Kind.bye) frames.push(frame);
  };
  // From its first moment on, so that this rank is heard while its other neighbour is not there yet.
  const onward = await neighbours(launch, { nameOf, onStranger }, (neighbour, socket, rest) => {
    const link = framesOver(socket, rest, onFrame, (why) => lose(`${nameOf(neighbour)} was lost: ${why}`));
    links.push(link);
    return link;
  }).catch(async (error: Error) => {
    await close(Kind.abort, error.message);
    throw new LostError(error.message);
  });
  const place = { rank, ranks, onward, take: frames.take };
  return {
    sum: (own, total) => sumOver(place, own, total),
    share: (values) => shareOver(place, values),
    close: (reason) => close(reason === undefined ? Kind.bye : Kind.abort, reason),
  };
}

/** Frames in the order in which they came, to those who ask. */
function queue() {
  const arrived: Frame[] = [];
  let waiting: { resolve: (frame: Frame) => void; reject: (error: Error) => void } | undefined;
  let failed: Error | undefined;
  return {
    push(frame: Frame): void {
      if (waiting) waiting.resolve(frame);
      else arrived.push(frame);
      waiting = undefined;
    },
    fail(error: Error): void {
      failed = error;
      waiting?.reject(error);
      waiting = undefined;
    },
    take(): Promise<Frame> {
      return new Promise((resolve, reject) => {
        const frame = arrived.shift();
        if (failed) reject(failed);
        else if (frame) resolve(frame);
        else waiting = { resolve, reject };
      });
    },
  };
}

/** What a sum needs of the ring. */
interface Place {
  rank: number;
  ranks: number;
  onward: Link;
  take: () => Promise<Frame>;
}

async function sumOver(
  { rank, ranks, onward, take }: Place,
  own: readonly Float32Array[],
  total: Float32Array,
): Promise<void> {
  const last = ranks - 1;
  const count = Math.ceil(total.length / MAX_VALUES);
  if (rank === 0) {
    for (let piece = 0; piece < count; piece++) {
      const from = piece * MAX_VALUES;
      const values = own[0].slice(from, from + MAX_VALUES);
      add(values, own.slice(1), from);
      onward.send(Kind.partial, bytesOf(values));
    }
  }
  let partials = rank === 0 ? count : 0;
  let totals = rank === last ? count : 0;
  while (partials < count || totals < count) {
    const { kind, bytes } = await take();
    const isPartial = kind === Kind.partial;
    const from = MAX_VALUES * (isPartial ? partials++ : totals++);
    const values = floatsOf(bytes, Math.min(MAX_VALUES, total.length - from));
    if (isPartial) add(values, own, from);
    if (isPartial && rank < last) onward.send(Kind.partial, bytesOf(values));
    else {
      total.set(values, from);
      // Around to the one before the last, which made it.
      if ((rank + 1) % ranks !== last) onward.send(Kind.total, bytesOf(values));
    }
  }
}

function add(values: Float32Array, added: readonly Float32Array[], from: number): void {
  for (const one of added) addPiece(values, one.subarray(from, from + values.length));
}

/** Of its own, for the engine: it is most of what a sum takes. */
function addPiece(values: Float32Array, added: Float32Array): void {
  for (let i = 0; i < values.length; i++) values[i] += added[i];
}

async function shareOver({ rank, ranks, onward, take }: Place, values: Float32Array): Promise<void> {
  for (let from = 0; from < values.length; from += MAX_VALUES) {
    const piece = values.subarray(from, from + MAX_VALUES);
    if (rank > 0) piece.set(floatsOf((await take()).bytes, piece.length));
    if (rank < ranks - 1) onward.send(Kind.total, bytesOf(piece.slice()));
  }
}

const bytesOf = ({ buffer, byteOffset, byteLength }: Float32Array) =>
  new Uint8Array(buffer, byteOffset, byteLength);

/** A frame's values, in memory of their own. @throws {LostError} if it has another number of them */
function floatsOf(bytes: Uint8Array, length: number): Float32Array {
  if (bytes.length !== 4 * length)
    throw new LostError(
      `ranks train different things: expected ${4 * length} bytes of a sum, got ${bytes.length}`,
    );
  const values = new Float32Array(length);
  bytesOf(values).set(bytes);
  return values;
}

/** One rank has nobody to talk to. */
export const alone: Ring = {
  async sum([first, ...others], total) {
    total.set(first);
    add(total, others, 0);
  },
  async share() {},
  async close() {},
};
