/**
 * The Worker that loaders start where nobody says how to make one: bundlers find its module by the form of this expression, and it lies
 * beside this one in the package. Where it cannot start, loaders decode on their own thread.
 *
 *     const pool = workerPool(defaultWorker, 2);
 */
export const defaultWorker = (): Worker =>
  new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
