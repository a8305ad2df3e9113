/**
 * transformers.js gets its .onnx files from .bitdiet files: a cache that has them already.
 *
 *     import { env, pipeline } from "@huggingface/transformers";
 *     env.useCustomCache = true;
 *     env.customCache = bitdietCache({ "Xenova/all-MiniLM-L6-v2/onnx/model.onnx": "minilm.bitdiet" });
 *     const embed = await pipeline("feature-extraction", "Xenova/all-MiniLM-L6-v2", { dtype: "fp32" });
 */
import type { BitdietSource, FetchOptions } from "./fetch.js";
import { onnxFileFromBitdiet } from "./onnx.js";

/** What transformers.js asks of `env.customCache`, and what a browser's Cache is. */
export interface FileCache {
  match(request: string): Promise<Response | undefined>;
  put(request: string, response: Response): Promise<void>;
}

/**
 * @param files where the .bitdiet file of an .onnx file lies, by "model id/file in the model's repository", or by the last parts of
 * its path alone
 * @param fallback what has all other files. Default: the browser's cache that transformers.js itself would use, none in Node
 */
export function bitdietCache(
  files: Readonly<Record<string, BitdietSource>>,
  fallback?: FileCache,
  options: FetchOptions = {},
): FileCache {
  const others = async (): Promise<FileCache | undefined> => {
    if (fallback || typeof caches === "undefined") return fallback;
    return caches.open("transformers-cache");
  };
  return {
    async match(request) {
      // https://huggingface.co/Xenova/x/resolve/main/onnx/model.onnx is Xenova/x/onnx/model.onnx.
      const path = request.replace(/[?#].*$/, "").replace(/\/resolve\/[^/]+\//, "/");
      const key = Object.keys(files).find((name) => path === name || path.endsWith(`/${name}`));
      if (key === undefined) return (await others())?.match(request);
      const file = new Blob((await onnxFileFromBitdiet(files[key], options)) as BlobPart[]);
      return new Response(file, {
        headers: { "Content-Type": "application/octet-stream", "Content-Length": String(file.size) },
      });
    },
    async put(request, response) {
      await (await others())?.put(request, response);
    },
  };
}
