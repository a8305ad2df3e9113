/**
 * Batches that an epoch has; the last partial one is dropped, since the wasm backend wants fixed shapes.
 *
 * @param count examples that there are
 * @throws {Error} if they are fewer than one batch
 */
export function wholeBatches(count: number, batch: number): number {
  if (!(count >= batch))
    throw new Error(`training data: expected ${batch} examples or more, one batch, got ${count}.`);
  return Math.floor(count / batch);
}
