// Progress with an estimate of the time left: bars on a terminal, plain lines elsewhere. It writes to standard error, so
// that standard output stays a table or JSON. A worker thread hands its progress to the thread that started it.
import { parentPort, type Worker } from "node:worker_threads";
import { MultiBar, Presets, type SingleBar } from "cli-progress";

export interface Progress {
  /** @param done steps finished so far, @param note a few words beside the bar: loss, accuracy, bits */
  update(done: number, note: string): void;
  finish(): void;
}

/** What a worker posts; `task` tells its bars apart. */
interface ProgressMessage {
  progress: { task: string; total: number; done: number; note: string; finished: boolean };
}

/** Starts a progress line named `task` of `total` steps. */
export function startProgress(task: string, total: number): Progress {
  const port = parentPort;
  if (port) {
    const post = (done: number, note: string, finished: boolean) =>
      port.postMessage({ progress: { task, total, done, note, finished } } satisfies ProgressMessage);
    return { update: (done, note) => post(done, note, false), finish: () => post(total, "", true) };
  }
  const bar = startBar(task, total);
  return { update: (done, note) => bar.update(done, { note }), finish: () => stopBar(bar) };
}

/** Shows the progress of everything that `worker` starts. */
export function showProgressOf(worker: Worker): void {
  const bars = new Map<string, SingleBar>();
  worker.on("message", (message: Partial<ProgressMessage>) => {
    if (!message.progress) return;
    const { task, total, done, note, finished } = message.progress;
    let bar = bars.get(task);
    if (!bar) bars.set(task, (bar = startBar(task, total)));
    if (!finished) bar.update(done, { note });
    else {
      stopBar(bar);
      bars.delete(task);
    }
  });
}

let screen: MultiBar | undefined;
let running = 0;

function startBar(task: string, total: number): SingleBar {
  screen ??= new MultiBar(
    {
      format: "{task} {bar} {percentage}% | {duration_formatted} so far, {eta_formatted} left | {note}",
      barsize: 24,
      // A bar library that catches Ctrl-C to show the cursor again would keep the program running: let it end.
      gracefulExit: false,
      etaBuffer: 50,
      noTTYOutput: true,
      notTTYSchedule: 5000,
      stream: process.stderr,
    },
    Presets.rect,
  );
  running++;
  return screen.create(total, 0, { task: task.padEnd(28), note: "" });
}

/** The last bar to stop takes the screen's timer with it, so that the process can end. */
function stopBar(bar: SingleBar): void {
  bar.stop();
  if (--running > 0) return;
  screen?.stop();
  screen = undefined;
}
