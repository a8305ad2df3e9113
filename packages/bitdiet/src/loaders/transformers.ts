/**
 * transformers.js gets its .onnx files from .bitdiet files: by a `fetch` that makes them while they arrive, or by a cache that has them.
 *
 *     import { env, pipeline } from "@huggingface/transformers";
 *     env.fetch = bitdietFetch({ "Xenova/all-MiniLM-L6-v2/onnx/model.onnx": "minilm.bitdiet" });
 *     const embed = await pipeline("feature-extraction", "Xenova/all-MiniLM-L6-v2");
 *
 * A file stands for the model in every `dtype`: what is in it is what the runtime gets. It has all numbers inside, so that files of
 * external data, which a model's configuration may ask for, have nothing in them.
 */
import type { BitdietSource, FetchOptions } from "./fetch.js";
import { type OnnxStream, streamOnnxFile } from "./onnx-stream.js";

/** What transformers.js asks of `env.customCache`, and what a browser's Cache is. */
export interface FileCache {
  match(request: string): Promise<Response | undefined>;
  put(request: string, response: Response): Promise<void>;
}

/** .bitdiet files by "model id/file in the model's repository" of the .onnx file, or by the last parts of its path alone. */
export type BitdietFiles = Readonly<Record<string, BitdietSource>>;

export interface BitdietFetchOptions extends FetchOptions {
  /** What gets everything else. Default: the global `fetch`. */
  others?: typeof fetch;
}

/**
 * A function for `env.fetch` (transformers.js 4): one download and one decoding a model, however often it is asked for while it
 * arrives; bytes are handed on as they are decoded. What it gives is cached as usual.
 */
export function bitdietFetch(
  files: BitdietFiles,
  { others = fetch, ...options }: BitdietFetchOptions = {},
): (input: string | URL | Request, init?: RequestInit) => Promise<Response> {
  const answer = answers(files, options);
  return async (input, init) => {
    const url = input instanceof Request ? input.url : String(input);
    const headers = new Headers(init?.headers ?? (input instanceof Request ? input.headers : undefined));
    return (await answer(url, headers.get("Range"))) ?? others(input, init);
  };
}

/**
 * A cache for `env.customCache`, which has the files from the start.
 *
 * @param fallback what has all other files. Default: the browser's cache that transformers.js itself would use, none in Node
 */
export function bitdietCache(
  files: BitdietFiles,
  fallback?: FileCache,
  options: FetchOptions = {},
): FileCache {
  const answer = answers(files, options);
  const others = async (): Promise<FileCache | undefined> => {
    if (fallback || typeof caches === "undefined") return fallback;
    return caches.open("transformers-cache");
  };
  return {
    async match(request) {
      // An error here is taken for a file that is not there; one of the body is told.
      const found = await answer(request, null).catch((error) => new Response(failing(error)));
      return found ?? (await others())?.match(request);
    },
    async put(request, response) {
      await (await others())?.put(request, response);
    },
  };
}

/** Ends of names that transformers.js has for its types of numbers. */
const DTYPES = /_(fp16|int8|uint8|quantized|q\d(f16)?|bnb4)(?=\.onnx$)/;
/** Ends of names of external data: model.onnx_data, model.onnx_data_1 … */
const EXTERNAL = /(?<=\.onnx)_data(_\d+)?$/;

/** Responses for URLs and paths of .onnx files; undefined for others. */
function answers(
  files: BitdietFiles,
  options: FetchOptions,
): (url: string, range: string | null) => Promise<Response | undefined> {
  const names = Object.keys(files);
  const keyOf = (path: string) => names.find((name) => path === name || path.endsWith(`/${name}`));
  const arriving = new Map<string, Promise<SharedStream>>();
  const streamOf = (key: string): Promise<SharedStream> => {
    const loading = async () => ({ ...(await streamOnnxFile(files[key], options)), readers: 0 });
    const stream = arriving.get(key) ?? loading();
    arriving.set(key, stream);
    // A failure is not kept: the next request may do better.
    stream.catch(() => arriving.delete(key));
    return stream;
  };
  return async (url, range) => {
    // https://huggingface.co/Xenova/x/resolve/main/onnx/model.onnx is Xenova/x/onnx/model.onnx.
    const path = url.replace(/[?#].*$/, "").replace(/\/resolve\/[^/]+\//, "/");
    const model = path.replace(EXTERNAL, "");
    const key = keyOf(model) ?? keyOf(model.replace(DTYPES, ""));
    if (key === undefined) return undefined;
    const type = { "Content-Type": "application/octet-stream" };
    // One byte: onnxruntime-node takes no data without any.
    if (model !== path)
      return new Response(Uint8Array.of(0), { headers: { ...type, "Content-Length": "1" } });
    const stream = await streamOf(key);
    const { size } = stream;
    // Asked for its size alone.
    if (range === "bytes=0-0") {
      // Who asks for it wants the rest next, and a connection that is not read from would stay.
      stream.start();
      const headers = { ...type, "Content-Length": "1", "Content-Range": `bytes 0-0/${size}` };
      return new Response(Uint8Array.of(8), { status: 206, headers });
    }
    const body = bodyOf(stream, () => arriving.delete(key));
    return new Response(body, { headers: { ...type, "Content-Length": String(size) } });
  };
}

/** What several requests may read. */
type SharedStream = OnnxStream & { readers: number };

/** @param onEnd called when all is read, or failed: whoever asks again, later, gets it anew */
function bodyOf(stream: SharedStream, onEnd: () => void): ReadableStream<Uint8Array> {
  const iterator = stream.pieces()[Symbol.asyncIterator]();
  stream.readers++;
  const end = () => {
    stream.readers--;
    onEnd();
  };
  return new ReadableStream(
    {
      async pull(controller) {
        try {
          const { done, value } = await iterator.next();
          if (!done) return controller.enqueue(value);
          controller.close();
        } catch (error) {
          controller.error(error);
        }
        end();
      },
      async cancel() {
        end();
        void iterator.return?.();
        if (stream.readers === 0) await stream.close();
      },
    },
    { highWaterMark: 0 },
  );
}

function failing(error: unknown): ReadableStream {
  return new ReadableStream({ pull: (controller) => controller.error(error) });
}
