// Progress with an estimate of the time left: a bar on a terminal, plain lines elsewhere. It writes to standard error,
// so that standard output stays a table or JSON.
import { Presets, SingleBar } from "cli-progress";

export interface Progress {
  /** @param done steps finished so far, @param note a few words beside the bar: loss, accuracy, bits */
  update(done: number, note: string): void;
  finish(): void;
}

/** Starts a progress line named `task` of `total` steps. */
export function startProgress(task: string, total: number): Progress {
  const bar = new SingleBar(
    {
      format: `${task.padEnd(28)} {bar} {percentage}% | {duration_formatted} so far, {eta_formatted} left | {note}`,
      barsize: 24,
      hideCursor: true,
      etaBuffer: 50,
      noTTYOutput: true,
      notTTYSchedule: 5000,
      stream: process.stderr,
    },
    Presets.rect,
  );
  bar.start(total, 0, { note: "" });
  return {
    update: (done, note) => bar.update(done, { note }),
    finish: () => bar.stop(),
  };
}
