/** What all pages have in common: what they are asked, and what they tell. */

/** What a page leaves in `window.result`. */
export interface PageResult {
  /** From navigation to the first outputs. */
  ms: number;
  /** Longest task of the page's thread, by the browser's own measure; 0: none over 50 ms. */
  longestTaskMs: number;
  /** First outputs, for a look whether they are any. */
  outputs: number[];
}

const parameters = new URLSearchParams(location.search);

export const query = (name: string): string => parameters.get(name) ?? "";

/** As in `FetchOptions`; absent: what the loader chooses. */
export const workers = parameters.has("workers") ? Number(query("workers")) : undefined;

let longestTaskMs = 0;
new PerformanceObserver((list) => {
  for (const { duration } of list.getEntries()) longestTaskMs = Math.max(longestTaskMs, duration);
}).observe({ type: "longtask", buffered: true });

const page = window as unknown as { result?: PageResult | { error: string } };

export function done(outputs: ArrayLike<number>): void {
  const ms = performance.now();
  // The task that ends here is told of later.
  setTimeout(() => {
    page.result = {
      ms,
      longestTaskMs,
      outputs: Array.from({ length: Math.min(4, outputs.length) }, (_, i) => outputs[i]),
    };
  }, 100);
}

export function failed(error: unknown): void {
  page.result = { error: String((error as Error)?.stack ?? error) };
}
