import { createHash } from "node:crypto";
import { existsSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import sharp from "sharp";
import { afterEach, describe, expect, test } from "vitest";
import { loadCifar10 } from "../../src/data/cifar10.js";
import { fetchCifar10 } from "../../src/data/cifar10-archive.js";
import { unpackJpegs } from "../../src/data/cifar10-jpeg.js";
import { download } from "../../src/data/download.js";
import { tarEntries } from "../../src/data/tar.js";

const file = new Uint8Array(200_000).map((_, i) => (i * i) >>> 3);
const md5 = (bytes: Uint8Array) => createHash("md5").update(bytes).digest("hex");
const checksum = { algorithm: "md5", hex: md5(file) } as const;
const folder = () => mkdtempSync(join(tmpdir(), "bitdiet-download-"));

let server: Server | undefined;
afterEach(() => void server?.close());

/** A server of one file; it may break off after some bytes or know no ranges. */
async function serve(content: Uint8Array, options: { breakAfter?: number; ranges?: boolean } = {}) {
  const requests: (string | undefined)[] = [];
  server = createServer((request, response) => {
    requests.push(request.headers.range);
    const from =
      options.ranges === false ? 0 : Number(/bytes=(\d+)-/.exec(request.headers.range ?? "")?.[1] ?? 0);
    if (from >= content.length) return void response.writeHead(416).end();
    response.writeHead(from > 0 ? 206 : 200, { "content-length": content.length - from });
    if (options.breakAfter === undefined) return void response.end(content.subarray(from));
    const { breakAfter } = options;
    options.breakAfter = undefined;
    response.write(content.subarray(from, from + breakAfter), () => response.destroy());
  });
  await new Promise<void>((ready) => server!.listen(0, "127.0.0.1", ready));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/archive.tar.gz`;
  return { url, requests };
}

describe("a download", () => {
  test("arrives whole, and is not repeated when it is there", async () => {
    const { url, requests } = await serve(file);
    const path = join(folder(), "new", "file.bin");
    await download({ url, path, checksum });
    await download({ url, path, checksum });
    expect(readFileSync(path).equals(file)).toBe(true);
    expect(requests).toEqual([undefined]);
  });

  test("that was begun asks for the rest alone", async () => {
    const { url, requests } = await serve(file);
    const path = join(folder(), "file.bin");
    writeFileSync(`${path}.part`, file.subarray(0, 1000));
    await download({ url, path, checksum });
    expect(requests).toEqual(["bytes=1000-"]);
    expect(readFileSync(path).equals(file)).toBe(true);
  });

  test("that breaks off says so, leaves no file, and is whole at the next call", async () => {
    const { url } = await serve(file, { breakAfter: 70_000 });
    const path = join(folder(), "file.bin");
    await expect(download({ url, path, checksum })).rejects.toThrow(/broke off; call again to go on/);
    expect(existsSync(path)).toBe(false);
    await download({ url, path, checksum });
    expect(readFileSync(path).equals(file)).toBe(true);
  });

  test("starts anew where the server knows no ranges", async () => {
    const { url } = await serve(file, { ranges: false });
    const path = join(folder(), "file.bin");
    writeFileSync(`${path}.part`, file.subarray(0, 1000));
    await download({ url, path, checksum });
    expect(readFileSync(path).equals(file)).toBe(true);
  });

  test("that was complete but not yet named is only checked", async () => {
    const { url } = await serve(file);
    const path = join(folder(), "file.bin");
    writeFileSync(`${path}.part`, file);
    await download({ url, path, checksum });
    expect(existsSync(path)).toBe(true);
  });

  test("with a wrong checksum is removed, and refused with both checksums", async () => {
    const { url } = await serve(file.slice(1));
    const path = join(folder(), "file.bin");
    await expect(download({ url, path, checksum })).rejects.toThrow(
      new RegExp(`md5 ${checksum.hex}, got ${md5(file.slice(1))}`),
    );
    expect(existsSync(path) || existsSync(`${path}.part`)).toBe(false);
  });

  test("of a file that is not there names the address and the answer", async () => {
    server = createServer((_, response) => void response.writeHead(404).end());
    await new Promise<void>((ready) => server!.listen(0, "127.0.0.1", ready));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/none`;
    const path = join(folder(), "file.bin");
    await expect(download({ url, path, checksum })).rejects.toThrow(/none: the server answered 404/);
  });
});

/** A tar archive of these files, by hand. */
function tar(files: Record<string, Uint8Array>): Uint8Array {
  const blocks = Object.entries(files).flatMap(([name, bytes]) => {
    const header = new Uint8Array(512);
    header.set(new TextEncoder().encode(name));
    header.set(new TextEncoder().encode(bytes.length.toString(8).padStart(11, "0")), 124);
    header[156] = name.endsWith("/") ? 53 : 48;
    return [header, bytes, new Uint8Array((512 - (bytes.length % 512)) % 512)];
  });
  return new Uint8Array(Buffer.concat([...blocks, new Uint8Array(1024)]));
}

describe("CIFAR-10 as JPEGs", () => {
  test("becomes records of the official layout, classes by folder, pixels as decoded", async () => {
    const [from, to] = [folder(), folder()];
    const jpeg = (red: number) =>
      sharp(Buffer.alloc(3072, Uint8Array.of(red, 128, 40)), { raw: { width: 32, height: 32, channels: 3 } })
        .jpeg({ quality: 100, chromaSubsampling: "4:4:4" })
        .toBuffer();
    const names = ["frog", "cat", "truck", "ship", "airplane"].map((name, i) => `train/${name}/${i}.jpg`);
    const images = await Promise.all(names.map(async (name, i) => [name, await jpeg(50 * i)] as const));
    writeFileSync(join(from, "train.tar.gz"), gzipSync(tar(Object.fromEntries(images))));
    writeFileSync(join(from, "test_dev.tar.gz"), gzipSync(tar({ "test/dog/9.jpg": await jpeg(99) })));
    await unpackJpegs(from, to);
    const { train, test } = await loadCifar10(to);
    expect([...train.labels, ...test.labels]).toEqual([6, 3, 9, 8, 0, 5]);
    for (const [i, value] of [0, 50, 100, 150, 200].entries()) {
      const [red, green, blue] = train.pixels.subarray(i * 3072 + 300, i * 3072 + 303);
      expect(Math.abs(red - value)).toBeLessThan(3);
      expect(Math.abs(green - 128)).toBeLessThan(3);
      expect(Math.abs(blue - 40)).toBeLessThan(3);
    }
    writeFileSync(join(from, "test_dev.tar.gz"), gzipSync(tar({ "test/toad/9.jpg": await jpeg(99) })));
    await expect(unpackJpegs(from, to)).rejects.toThrow(/toad\/9.jpg: expected a folder named after a class/);
  });
});

describe("CIFAR-10's archive", () => {
  const record = (label: number) => new Uint8Array(3073).fill(7).fill(label, 0, 1);
  const names = [1, 2, 3, 4, 5].map((n) => `cifar-10-batches-bin/data_batch_${n}.bin`);
  const files = Object.fromEntries(
    [...names, "cifar-10-batches-bin/test_batch.bin"].map((name, i) => [name, record(i)]),
  );

  test("is downloaded, checked, unpacked and read; a second call asks nobody", async () => {
    const archive = gzipSync(tar({ "cifar-10-batches-bin/": new Uint8Array(), ...files }));
    const { url, requests } = await serve(archive);
    const to = folder();
    const source = { url, checksum: { algorithm: "md5", hex: md5(archive) } } as const;
    const inner = await fetchCifar10(to, source);
    await fetchCifar10(to, source);
    expect(requests.length).toBe(1);
    const { train, test } = await loadCifar10(inner);
    expect([...train.labels, ...test.labels]).toEqual([0, 1, 2, 3, 4, 5]);
    expect(existsSync(join(to, "archive.tar.gz"))).toBe(false);
  });

  test("that lacks a file is refused by name", async () => {
    const archive = gzipSync(tar(Object.fromEntries(Object.entries(files).slice(1))));
    const { url } = await serve(archive);
    const source = { url, checksum: { algorithm: "md5", hex: md5(archive) } } as const;
    await expect(fetchCifar10(folder(), source)).rejects.toThrow(/no data_batch_1.bin/);
  });

  test("that is cut short is refused", () => {
    expect(() => [...tarEntries(tar(files).subarray(0, 2000))]).toThrow(
      /ends inside cifar-10-batches-bin\/data_batch_1/,
    );
  });
});
