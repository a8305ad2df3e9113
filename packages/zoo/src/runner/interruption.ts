// Runs that are told to end in the middle: a scheduler takes its machine back by SIGTERM, and kills what is still there some
// seconds later. What such a run has is kept, and its exit code asks for another try.

/** The run was told to end; it goes on from what it kept. */
export class InterruptedError extends Error {
  override name = "InterruptedError";
}

/** EX_TEMPFAIL of sysexits.h: nothing is wrong, start it again. */
export const TRY_AGAIN = 75;

/**
 * A signal that SIGTERM aborts. It no longer ends the process, whoever else listened for it: what runs ends by itself, however often it
 * is told. Slurm tells a step twice, by its daemon and by srun, and a second one that ended it would lose what is just being kept.
 */
export function untilTold(): AbortSignal {
  const told = new AbortController();
  process.removeAllListeners("SIGTERM");
  process.on("SIGTERM", () => told.abort());
  return told.signal;
}
