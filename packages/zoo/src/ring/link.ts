// One connection of the ring: both ends prove that they know the token, then frames go either way, and one a second at
// least. Whoever is silent for longer, or hangs up without a word, is lost.
import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import type { Socket } from "node:net";

/** What a frame holds. */
export const Kind = {
  /** Nothing: its sender is there. */
  alive: 0,
  /** A sum under way. */
  partial: 1,
  /** A sum that is complete. */
  total: 2,
  /** Why its sender ends: words. */
  abort: 3,
  /** Its sender is done. */
  bye: 4,
} as const;
export type Kind = (typeof Kind)[keyof typeof Kind];

export interface Frame {
  kind: Kind;
  bytes: Buffer;
}

export interface Link {
  send(kind: Kind, bytes?: Uint8Array): void;
  /** Hangs up, once everything that was sent is on its way. */
  close(): Promise<void>;
}

/** Values of a frame at most: long sums go in pieces, so that all links are busy at a time. */
export const MAX_VALUES = 2 ** 14;
const MAX_FRAME = 4 * MAX_VALUES;
const HEARTBEAT_MS = 1000;
/** Longer than any pause of a live event loop, shorter than anybody wants to wait for a dead one. */
const SILENCE_MS = 6000;
const HEAD = 5;

/**
 * Sends and receives frames over a connection whose ends know each other.
 *
 * @param rest bytes that arrived already
 * @param onFrame called with each frame, heartbeats aside
 * @param onLost called once, with what is known of it, unless the other end said something before
 */
export function framesOver(
  socket: Socket,
  rest: Buffer,
  onFrame: (frame: Frame) => void,
  onLost: (why: string) => void,
): Link {
  let heard = Date.now();
  let isOver = false;
  const over = (why?: string) => {
    if (isOver) return;
    isOver = true;
    clearInterval(timer);
    socket.destroySoon();
    if (why !== undefined) onLost(why);
  };
  const send = (kind: Kind, bytes = new Uint8Array()) => {
    if (isOver) return;
    const head = Buffer.alloc(HEAD);
    head.writeUInt32LE(bytes.length);
    head[4] = kind;
    socket.cork();
    socket.write(head);
    socket.write(bytes);
    socket.uncork();
  };
  const timer = setInterval(() => {
    if (Date.now() - heard > SILENCE_MS) over(`not a word for ${SILENCE_MS / 1000} s`);
    else send(Kind.alive);
  }, HEARTBEAT_MS);
  const pieces = new Pieces(rest);
  const receive = () => {
    for (let frame = nextFrame(pieces); frame !== undefined && !isOver; frame = nextFrame(pieces)) {
      if (frame === "bad") return over("bytes that are no frame");
      if (frame.kind === Kind.abort || frame.kind === Kind.bye) over();
      if (frame.kind !== Kind.alive) onFrame(frame);
    }
  };
  socket.setNoDelay(true);
  socket.on("data", (bytes: Buffer) => {
    heard = Date.now();
    pieces.push(bytes);
    receive();
  });
  socket.on("error", ({ message }) => over(message));
  socket.on("close", () => over("connection closed"));
  socket.resume();
  setImmediate(receive);
  const close = () => {
    over();
    return new Promise<void>((resolve) => {
      if (socket.closed) resolve();
      else socket.once("close", () => resolve());
    });
  };
  return { send, close };
}

/** Bytes as they arrive, taken as they are needed, copied once. */
class Pieces {
  #pieces: Buffer[];
  #length: number;
  constructor(first: Buffer) {
    this.#pieces = first.length > 0 ? [first] : [];
    this.#length = first.length;
  }
  push(piece: Buffer): void {
    this.#pieces.push(piece);
    this.#length += piece.length;
  }
  get length(): number {
    return this.#length;
  }
  /** The first bytes, that stay. */
  peek(count: number): Buffer {
    let [enough, length] = [1, this.#pieces[0].length];
    while (length < count) length += this.#pieces[enough++].length;
    if (enough > 1) this.#pieces.unshift(Buffer.concat(this.#pieces.splice(0, enough), length));
    return this.#pieces[0].subarray(0, count);
  }
  take(count: number): Buffer {
    if (count === 0) return Buffer.alloc(0);
    const taken = this.peek(count);
    this.#pieces[0] = this.#pieces[0].subarray(count);
    if (this.#pieces[0].length === 0) this.#pieces.shift();
    this.#length -= count;
    return taken;
  }
}

function nextFrame(pieces: Pieces): Frame | "bad" | undefined {
  if (pieces.length < HEAD) return undefined;
  const head = pieces.peek(HEAD);
  const length = head.readUInt32LE();
  const kind = head[4];
  if (length > MAX_FRAME || kind > Kind.bye) return "bad";
  if (pieces.length < HEAD + length) return undefined;
  pieces.take(HEAD);
  return { kind: kind as Kind, bytes: pieces.take(length) };
}

const NONCE = 32;
const PROOF = 32;
const HELLO_MS = 5000;

/** Both ends of a link: who connects, and who listens. */
export interface Ends {
  token: string;
  from: number;
  to: number;
}

/** An HMAC of the other end's random bytes and of who says it: the token itself is never said. */
const proof = ({ token, from, to }: Ends, nonce: Uint8Array, role: "connects" | "listens"): Buffer =>
  createHmac("sha256", token).update(nonce).update(`bitdiet ring 1: ${from} to ${to} ${role}`).digest();

/**
 * Proves to who listens that this end knows the token, and lets it prove the same. What comes after is not encrypted.
 *
 * @returns bytes that arrived after it
 * @throws {Error} if the other end can't, or takes longer than 5 s; the connection is closed then
 */
export async function introduceTo(socket: Socket, ends: Ends): Promise<Buffer> {
  return orDestroy(socket, async () => {
    const nonce = randomBytes(NONCE);
    const theirs = await read(socket, NONCE);
    socket.write(Buffer.concat([nonce, proof(ends, theirs.bytes, "connects")]));
    const answer = await read(socket, PROOF, theirs.rest);
    refuseStrangers(answer.bytes, proof(ends, nonce, "listens"));
    return answer.rest;
  });
}

/** The other end of `introduceTo`: says nothing of use to who has proved nothing. */
export async function admit(socket: Socket, ends: Ends): Promise<Buffer> {
  return orDestroy(socket, async () => {
    const nonce = randomBytes(NONCE);
    socket.write(nonce);
    const { bytes, rest } = await read(socket, NONCE + PROOF);
    refuseStrangers(bytes.subarray(NONCE), proof(ends, nonce, "connects"));
    socket.write(proof(ends, bytes.subarray(0, NONCE), "listens"));
    return rest;
  });
}

function refuseStrangers(given: Buffer, expected: Buffer): void {
  if (!timingSafeEqual(given, expected)) throw new Error("it does not know the token, or is of another rank");
}

async function orDestroy<T>(socket: Socket, talk: () => Promise<T>): Promise<T> {
  try {
    return await talk();
  } catch (error) {
    socket.destroy();
    throw error;
  }
}

/** The next so many bytes, and what came with them. */
function read(
  socket: Socket,
  count: number,
  first: Buffer = Buffer.alloc(0),
): Promise<{ bytes: Buffer; rest: Buffer }> {
  return new Promise((resolve, reject) => {
    let all: Buffer = first;
    const end = (error?: Error) => {
      clearTimeout(timer);
      socket.off("data", onData).off("error", end).off("close", onClose);
      if (error) return reject(error);
      socket.pause();
      resolve({ bytes: all.subarray(0, count), rest: all.subarray(count) });
    };
    const onData = (bytes: Buffer) => {
      all = Buffer.concat([all, bytes]);
      if (all.length >= count) end();
    };
    const onClose = () => end(new Error("connection closed"));
    const timer = setTimeout(() => end(new Error(`nothing for ${HELLO_MS / 1000} s`)), HELLO_MS);
    socket.on("data", onData).on("error", end).on("close", onClose);
    if (all.length >= count) end();
    else socket.resume();
  });
}
