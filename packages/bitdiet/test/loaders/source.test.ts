import { createHash } from "node:crypto";
import { existsSync, readdirSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterEach, expect, test, vi } from "vitest";
import { type ByteSource, DownloadError, openSource, readRange } from "../../src/loaders/source.js";

const bytes = Uint8Array.from({ length: 300_000 }, (_, i) => (i * 7919) >> 5);
async function all(source: ByteSource, start = 0, end?: number): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  for await (const piece of source.read(start, end)) pieces.push(piece.slice());
  return new Uint8Array(Buffer.concat(pieces));
}

let server: Server | undefined;
afterEach(() => server?.close());

/** A server of `bytes` that breaks the connection after `breaks` bytes of a reply, as often as there are entries. */
async function serve({
  breaks = [] as number[],
  ranges = true,
  tags = ['"1"'],
  status = 200,
  lengths = true,
} = {}) {
  const asked: (string | undefined)[] = [];
  server = createServer((request, response) => {
    asked.push(request.headers.range);
    const tag = tags[Math.min(asked.length, tags.length) - 1];
    if (status !== 200) return response.writeHead(status).end("no");
    const match = ranges ? /bytes=(\d+)-(\d*)/.exec(request.headers.range ?? "") : null;
    const start = match ? Number(match[1]) : 0;
    const end = match?.[2] ? Number(match[2]) + 1 : bytes.length;
    response.writeHead(match ? 206 : 200, {
      ETag: tag,
      ...(lengths ? { "Content-Length": end - start } : {}),
      ...(match ? { "Content-Range": `bytes ${start}-${end - 1}/${bytes.length}` } : {}),
    });
    const cut = breaks.shift();
    if (cut === undefined) return response.end(bytes.subarray(start, end));
    response.write(bytes.subarray(start, start + cut), () => setTimeout(() => response.destroy(), 20));
  });
  await new Promise<void>((resolve) => server!.listen(0, resolve));
  return { url: `http://localhost:${(server.address() as AddressInfo).port}/m.bitdiet`, asked };
}

test("a whole download asks once and without a range", async () => {
  const { url, asked } = await serve();
  const source = await openSource(url);
  expect(Buffer.compare(await all(source), bytes)).toBe(0);
  expect(asked).toEqual([undefined]);
  expect(source.size()).toBe(bytes.length);
});

test("a connection that breaks twice is taken up where it broke", async () => {
  const { url, asked } = await serve({ breaks: [100_000, 50_000] });
  expect(Buffer.compare(await all(await openSource(url)), bytes)).toBe(0);
  expect(asked).toEqual([undefined, "bytes=100000-", "bytes=150000-"]);
});

test("a server without ranges sends all again, and no byte comes twice", async () => {
  const { url } = await serve({ breaks: [100_000], ranges: false });
  expect(Buffer.compare(await all(await openSource(url)), bytes)).toBe(0);
});

test("a range is what was asked for, with and without the server's help", async () => {
  for (const ranges of [true, false]) {
    const { url } = await serve({ ranges });
    expect(
      Buffer.compare(await readRange(await openSource(url), 1000, 70_000), bytes.subarray(1000, 70_000)),
    ).toBe(0);
    server!.close();
  }
});

test("a file that changes between two requests is not patched together", async () => {
  const { url } = await serve({ breaks: [100_000], tags: ['"1"', '"2"'] });
  await expect(all(await openSource(url))).rejects.toThrow("changed on the server");
});

test("what is not there says so at once", async () => {
  const { url, asked } = await serve({ status: 404 });
  await expect(all(await openSource(url))).rejects.toThrow(DownloadError);
  await expect(all(await openSource(url))).rejects.toThrow(`${url}: HTTP 404`);
  expect(asked.length).toBe(2);
});

test("a connection that gives nothing any more fails after four attempts", async () => {
  const { url, asked } = await serve({ breaks: [10, 0, 0, 0, 0, 0] });
  await expect(all(await openSource(url))).rejects.toThrow("broke off at byte 10, 4 times");
  expect(asked.length).toBe(4);
});

test("fetchFunc and requestInit are what requests are made with, and its signal ends them", async () => {
  const seen: [string, RequestInit | undefined][] = [];
  const abort = new AbortController();
  const source = await openSource("model.bitdiet", {
    requestInit: { headers: { Authorization: "me" }, credentials: "include", signal: abort.signal },
    fetchFunc: async (url, init) => {
      seen.push([String(url), init]);
      return new Response(bytes);
    },
  });
  expect((await all(source)).length).toBe(bytes.length);
  expect(seen[0][0]).toBe("model.bitdiet");
  expect(seen[0][1]?.credentials).toBe("include");
  expect(new Headers(seen[0][1]?.headers).get("Authorization")).toBe("me");
  const { url } = await serve({ breaks: [1000, 1000, 1000] });
  const aborted = await openSource(url, { requestInit: { signal: abort.signal } });
  const reading = all(aborted);
  abort.abort();
  await expect(reading).rejects.toThrow(/abort/i);
});

test("paths, file URLs, Blobs and buffers give the same bytes, from any offset", async () => {
  const folder = await mkdtemp(join(tmpdir(), "bitdiet-"));
  const path = join(folder, "m.bitdiet");
  await writeFile(path, bytes);
  const buffer = bytes.slice().buffer;
  for (const source of [path, pathToFileURL(path), new Blob([bytes]), buffer, bytes]) {
    const opened = await openSource(source);
    expect(Buffer.compare(await all(opened), bytes)).toBe(0);
    expect(Buffer.compare(await all(opened, 5, 2_000), bytes.subarray(5, 2_000))).toBe(0);
    expect(opened.size()).toBe(bytes.length);
  }
  await expect(readRange(await openSource(path), 0, 400_000)).rejects.toThrow(
    `${path}: expected bytes 0 to 400000, got 300000`,
  );
  await expect(openSource(3 as never)).rejects.toThrow("source: expected a URL");
  await rm(folder, { recursive: true });
});

test.each(["answers", "sends more"])(
  "a server that never %s is given up, and its requests are ended",
  async (what) => {
    vi.useFakeTimers();
    try {
      const ended: boolean[] = [];
      const source = await openSource("m.bitdiet", {
        fetchFunc: async (_, init) => {
          const index = ended.push(false) - 1;
          init!.signal!.addEventListener("abort", () => (ended[index] = true));
          if (what === "answers") return new Promise<Response>(() => {});
          // Nine bytes at first, none after that.
          const start = (controller: ReadableStreamDefaultController) =>
            void (ended.length === 1 && controller.enqueue(bytes.subarray(0, 9)));
          return new Response(new ReadableStream({ start }), { status: ended.length > 1 ? 206 : 200 });
        },
      });
      const reading = all(source);
      reading.catch(() => {});
      for (let i = 0; i < 200; i++) await vi.advanceTimersByTimeAsync(1000);
      await expect(reading).rejects.toThrow("4 times: nothing came for 30 seconds");
      expect(ended).toEqual(ended.map(() => true));
      expect(vi.getTimerCount()).toBe(0);
    } finally {
      vi.useRealTimers();
    }
  },
);

test("a server that gives a few bytes now and then is given up as one that gives none", async () => {
  vi.useFakeTimers();
  try {
    let asked = 0;
    const source = await openSource("m.bitdiet", {
      fetchFunc: async (_, init) => {
        asked++;
        let at = Number(/\d+/.exec(new Headers(init!.headers).get("Range") ?? "0")![0]);
        let timer: ReturnType<typeof setInterval>;
        const stream = new ReadableStream({
          start(controller) {
            timer = setInterval(() => controller.enqueue(bytes.subarray(at, (at += 50))), 5000);
          },
          cancel: () => clearInterval(timer),
        });
        return new Response(stream, { status: at > 0 ? 206 : 200 });
      },
    });
    const reading = all(source);
    reading.catch(() => {});
    for (let i = 0; i < 200; i++) await vi.advanceTimersByTimeAsync(1000);
    await expect(reading).rejects.toThrow(/4 times: no more than \d+ bytes came in 30 seconds/);
    expect(asked).toBe(4);
    expect(vi.getTimerCount()).toBe(0);
  } finally {
    vi.useRealTimers();
  }
});

test("a download that is slow because its reader is, is not given up", async () => {
  vi.useFakeTimers();
  try {
    const source = await openSource("m.bitdiet", {
      fetchFunc: async () => {
        const pieces = [0, 1, 2, 3].map((i) => bytes.subarray(100 * i, 100 * i + 100));
        return new Response(
          new ReadableStream({
            pull: (controller) => {
              const piece = pieces.shift();
              if (piece) controller.enqueue(piece);
              else controller.close();
            },
          }),
        );
      },
    });
    let length = 0;
    for await (const piece of source.read(0, 400)) {
      length += piece.length;
      await vi.advanceTimersByTimeAsync(40_000);
    }
    expect(length).toBe(400);
  } finally {
    vi.useRealTimers();
  }
});

test.each(["answer", "body"])("an abort ends the wait for an %s that hears of no signal", async (what) => {
  const abort = new AbortController();
  const source = await openSource("m.bitdiet", {
    requestInit: { signal: abort.signal },
    fetchFunc: async () =>
      what === "answer" ? new Promise<Response>(() => {}) : new Response(new ReadableStream({})),
  });
  const reading = all(source);
  setTimeout(() => abort.abort(new Error("enough")), 50);
  await expect(reading).rejects.toThrow("enough");
});

test("an abort ends the pause before the next attempt, too", async () => {
  const { url } = await serve({ status: 503 });
  const abort = new AbortController();
  const reading = all(await openSource(url, { requestInit: { signal: abort.signal } }));
  setTimeout(() => abort.abort(), 300);
  const began = performance.now();
  await expect(reading).rejects.toThrow(/abort/i);
  expect(performance.now() - began).toBeLessThan(1200);
});

test("ranges of a file with a wrong hash are not given out either; a right one is read once", async () => {
  const { url, asked } = await serve();
  const integrity = `sha256-${createHash("sha256").update(bytes).digest("base64")}`;
  const right = await openSource(url, { integrity });
  for (const [start, end] of [
    [0, 10],
    [500, 70_000],
  ])
    expect(Buffer.compare(await readRange(right, start, end), bytes.subarray(start, end))).toBe(0);
  expect(asked).toEqual([undefined]);
  const wrong = await openSource(bytes.subarray(1), { integrity });
  await expect(readRange(wrong, 5, 10)).rejects.toThrow(`expected the file of ${integrity}`);
});

test("an answer without a body is a DownloadError that says its status", async () => {
  const { url, asked } = await serve({ status: 204 });
  await expect(all(await openSource(url))).rejects.toThrow(DownloadError);
  await expect(all(await openSource(url))).rejects.toThrow(`${url}: HTTP 204`);
  expect(asked.length).toBe(2);
});

test("bodies are cancelled: after a failure, where no more is wanted, and where the answer is of no use", async () => {
  const bodies: { cancelled: boolean }[] = [];
  const answering = (init: () => ResponseInit) =>
    openSource("m.bitdiet", {
      fetchFunc: async () => {
        const body = { cancelled: false };
        bodies.push(body);
        const stream = new ReadableStream({
          pull: (controller) => controller.enqueue(new Uint8Array(1000)),
          cancel: () => void (body.cancelled = true),
        });
        return new Response(stream, init());
      },
    });
  const gone = await answering(() => ({ status: 404 }));
  await expect(all(gone)).rejects.toThrow("HTTP 404");
  await readRange(await answering(() => ({ status: 206 })), 0, 2500);
  for await (const _ of (await answering(() => ({}))).read(0)) break;
  let tag = 0;
  const changing = await answering(() => ({ headers: { ETag: String(tag++) } }));
  await readRange(changing, 0, 10);
  await expect(readRange(changing, 0, 10)).rejects.toThrow("changed on the server");
  const wrong = await answering(() => ({ status: 206, headers: { "Content-Range": "bytes 7-9/10" } }));
  await expect(readRange(wrong, 0, 10)).rejects.toThrow("asked for bytes from 0");
  expect(bodies).toEqual(Array.from({ length: 6 }, () => ({ cancelled: true })));
});

test("nothing is left open by 200 reads that end early: no descriptor, no connection", async () => {
  const folder = await mkdtemp(join(tmpdir(), "bitdiet-"));
  const path = join(folder, "m.bitdiet");
  await writeFile(path, bytes);
  const { url } = await serve();
  const descriptors = () => readdirSync("/proc/self/fd").length;
  const connections = () =>
    new Promise<number>((resolve) => server!.getConnections((_, count) => resolve(count)));
  const before = existsSync("/proc/self/fd") ? descriptors() : 0;
  for (let i = 0; i < 200; i++) {
    for (const source of [path, url]) await readRange(await openSource(source), 0, 10);
    await expect(readRange(await openSource(path), 0, 400_000)).rejects.toThrow(DownloadError);
  }
  if (existsSync("/proc/self/fd"))
    await expect.poll(descriptors, { timeout: 10_000 }).toBeLessThan(before + 20);
  await expect.poll(connections, { timeout: 10_000 }).toBeLessThan(10);
  await rm(folder, { recursive: true });
});

test.each(["sha256", "sha384", "sha512"])(
  "integrity by %s lets the file through and no other",
  async (name) => {
    const integrity = `${name}-${createHash(name).update(bytes).digest("base64")}`;
    const { url } = await serve();
    for (const given of [bytes, new Blob([bytes]), url]) {
      expect(Buffer.compare(await all(await openSource(given, { integrity })), bytes)).toBe(0);
    }
    const altered = bytes.slice();
    altered[299_999] ^= 1;
    for (const given of [altered, bytes.subarray(1), new Uint8Array(0)]) {
      const source = await openSource(new Blob([given]), { integrity });
      await expect(all(source)).rejects.toThrow(`blob: expected the file of ${integrity}, got ${name}-`);
    }
    await expect(openSource(bytes, { integrity: "md5-AAAA" })).rejects.toThrow(
      'integrity: expected "sha256-" and a hash in base64, got "md5-AAAA"',
    );
  },
);

test.each(["/nowhere/m.bitdiet", tmpdir(), ""])(
  "a path that cannot be read is a DownloadError: %j",
  async (path) => {
    const source = await openSource(path);
    await expect(all(source)).rejects.toThrow(DownloadError);
    await expect(all(source)).rejects.toThrow(/: cannot be read: E[A-Z]+$/);
  },
);
