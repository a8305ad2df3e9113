/**
 * Pauses for whatever else waits on a thread: a page that loads a model is not to stand still.
 *
 *     for (const part of parts) {
 *       await pause(); // a macrotask later, if this thread has worked for long
 *       decode(part);
 *     }
 */

/** How long this thread works in one go. */
const MAX_TASK_MS = 10;
let pausedAt = 0;

/** Ends the task if it is time for it. */
export async function pause(): Promise<void> {
  if (performance.now() - pausedAt <= MAX_TASK_MS) return;
  await new Promise((resolve) => setTimeout(resolve));
  pausedAt = performance.now();
}

/** Bytes that are copied in one go: a millisecond or two, on telephones ten. */
const PIECE = 2 ** 22;

/** `target.set(bytes, at)`, piece by piece. */
export async function setInPieces(target: Uint8Array, bytes: Uint8Array, at: number): Promise<void> {
  for (let from = 0; from < bytes.length; from += PIECE) {
    await pause();
    target.set(bytes.subarray(from, from + PIECE), at + from);
  }
}
