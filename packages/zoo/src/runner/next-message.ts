// What a worker thread says next. One that ends instead, by itself or by being ended, is an error: nobody would ever hear of it.
import type { Worker } from "node:worker_threads";

/**
 * The next message that is wanted; listen before what asks for it is posted.
 *
 * @throws {Error} the thread's own error; or one that says that it ended, also if it had before
 */
export function nextMessage<Message>(
  worker: Worker,
  isWanted: (message: Message) => boolean = () => true,
): Promise<Message> {
  return new Promise((resolve, reject) => {
    const stop = () => worker.off("message", onMessage).off("error", onError).off("exit", onExit);
    const onMessage = (message: Message) => {
      if (!isWanted(message)) return;
      stop();
      resolve(message);
    };
    const onError = (error: Error) => {
      stop();
      reject(error);
    };
    const onExit = (code?: number) =>
      onError(new Error(`a worker thread ended${code === undefined ? "" : ` (${code})`} before it answered`));
    worker.on("message", onMessage).on("error", onError).on("exit", onExit);
    if (worker.threadId < 0) onExit();
  });
}
