/**
 * An .onnx file as a stream while its .bitdiet file arrives: how long it will be is known as soon as the header is there.
 *
 *     const { size, pieces } = await streamOnnxFile("model.bitdiet");
 *     for await (const bytes of pieces()) received += bytes.length; // size, in the end
 */
import { onnxFile } from "../formats/onnx/write.js";
import { tensorBytes as byteLength } from "../model.js";
import { type ArrivingModel, type BitdietSource, built, type FetchOptions, fetchBitdiet } from "./fetch.js";
import { onnxOf, tensorBytes } from "./open.js";
import { DownloadError } from "./source.js";

export interface OnnxStream {
  /** Bytes of the file. */
  size: number;
  /** The file's bytes in their order, as soon as they are there. May be asked for again. */
  pieces(): AsyncIterable<Uint8Array>;
  /** Loads on, whether or not somebody takes the pieces. */
  start(): void;
  /** Ends the download; pieces that are not there yet will not come. */
  close(): Promise<void>;
}

/**
 * @throws {CorruptInputError} if the file is damaged or no ONNX model; {DownloadError} if it cannot be had. What arrives damaged
 * later ends the pieces in the same way.
 */
export async function streamOnnxFile(source: BitdietSource, options: FetchOptions = {}): Promise<OnnxStream> {
  const arriving = await fetchBitdiet(source, options);
  return built(arriving, () => streamOf(arriving));
}

async function streamOf(arriving: ArrivingModel): Promise<OnnxStream> {
  const { metadata } = onnxOf(arriving);
  const { numbers, arrived, start, close } = arrivingNumbers(arriving);
  const parts = {
    metadata,
    tensors: arriving.header.tensors.map(({ dtype }, i) => ({ dtype, bytes: async () => numbers[i] })),
  };
  let file = await onnxFile(parts);
  // Numbers that are copied into the file, or of other lengths there, have to be there first.
  const places = new Map<Uint8Array, number>(numbers.map((bytes, i) => [bytes, i]));
  const found = new Set(file.map((piece) => places.get(piece)));
  if (numbers.some((bytes, i) => bytes.length > 0 && !found.has(i))) {
    start();
    for (const each of arrived) await each;
    file = await onnxFile(parts);
  }
  return {
    size: file.reduce((sum, { length }) => sum + length, 0),
    async *pieces() {
      start();
      for (const piece of file) {
        const place = places.get(piece);
        if (place !== undefined) await arrived[place];
        yield piece;
      }
    },
    start,
    close,
  };
}

/** Room for the numbers of all tensors, and when each is filled. */
function arrivingNumbers({ name, header, tensors, close: closeDownload }: ArrivingModel) {
  const numbers = header.tensors.map(
    ({ dtype, shape, size }) => new Uint8Array(byteLength(dtype, shape) ?? size),
  );
  const settle: { resolve(): void; reject(error: unknown): void }[] = [];
  const arrived = numbers.map(
    () => new Promise<void>((resolve, reject) => void settle.push({ resolve, reject })),
  );
  // Whoever awaits it hears of a failure.
  for (const each of arrived) each.catch(() => {});
  const places = new Map(header.tensors.map(({ name }, i) => [name, i]));
  const fill = async () => {
    try {
      for await (const tensor of tensors) {
        if (isClosed) throw new DownloadError(`${name}: nobody wants it any more`);
        const place = places.get(tensor.name)!;
        numbers[place].set(tensorBytes(tensor));
        settle[place].resolve();
      }
    } catch (error) {
      for (const { reject } of settle) reject(error);
    }
  };
  let isStarted = false;
  let isClosed = false;
  const start = () => {
    if (!isStarted) void fill();
    isStarted = true;
  };
  const close = () => {
    isClosed = true;
    return closeDownload();
  };
  return { numbers, arrived, start, close };
}
