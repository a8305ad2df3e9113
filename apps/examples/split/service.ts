// The server's side: the second half of the network, a codec that was learned here, and what a page asks for.
// Example: POST /split/features with a frame is answered by the three likeliest classes and the hash of the decoded map.
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import type { IncomingMessage, ServerResponse } from "node:http";
import { basename, dirname, join } from "node:path";
import { pcaTransform } from "@bitdiet/dct-transform";
import { type FeatureCodec, learnFeatureCodec } from "@bitdiet/feature-codec";
import { type ImageFile, squarePixels } from "@bitdiet/zoo/data/imagenet";
import { readLayers } from "@bitdiet/zoo/nets/read-layers";
import { splitLayers } from "@bitdiet/zoo/nets/split-layers";
import * as tf from "@tensorflow/tfjs-core";
import type { LayersModel } from "@tensorflow/tfjs-layers";
import type { Answer, Facts } from "./messages.js";

export const SIDE = 224;
/** No frame is longer: a map of float32. */
const MAX_BODY = 2 ** 24;

export interface Service {
  codec: FeatureCodec;
  /** Answers what is under /split/; false for everything else. */
  handle(request: IncomingMessage, response: ServerResponse): Promise<boolean>;
}

/**
 * @param model path of a model.json, a chain of layers from pictures to probabilities
 * @param layer the last one that the page runs
 * @param learned, shown pictures to learn the codec from, and for the page
 * @param names of the classes
 */
export async function splitService(
  model: string,
  layer: string,
  bits: number,
  { learned, shown, names }: { learned: ImageFile[]; shown: ImageFile[]; names: string[] },
): Promise<Service> {
  const whole = await readLayers(model);
  const { head, tail, shape } = splitLayers(whole, layer);
  const samples: Float32Array[] = [];
  for (const { read } of learned) samples.push(outputOf(head, toInput(await squarePixels(read(), SIDE))));
  const codec = await learnFeatureCodec(samples, { shape, transform: pcaTransform, targetBits: bits });
  const facts: Facts = { layer, shape, side: SIDE, pictures: shown.map(({ label }) => names[label]) };

  function answer(frame: Uint8Array): Answer {
    const start = performance.now();
    const map = codec.decode(frame);
    const decoded = performance.now();
    const probabilities = outputOf(tail, tf.tensor(map, [1, ...shape]));
    const best = Array.from(probabilities.keys())
      .sort((a, b) => probabilities[b] - probabilities[a])
      .slice(0, 3)
      .map((index) => ({ name: names[index], probability: probabilities[index] }));
    return {
      best,
      decodeMs: decoded - start,
      networkMs: performance.now() - decoded,
      hash: createHash("sha256").update(new Uint8Array(map.buffer)).digest("hex"),
    };
  }

  const routes: Record<string, (name: string, request: IncomingMessage) => Promise<Uint8Array> | Uint8Array> =
    {
      facts: () => json(facts),
      names: () => json(names),
      codec: () => codec.bytes,
      pictures: (name) => squarePixels(shown[Number(name)].read(), SIDE),
      features: async (_, request) => json(answer(await body(request))),
    };
  return {
    codec,
    async handle(request, response) {
      const [, root, what, name = ""] = new URL(request.url ?? "", "http://localhost").pathname.split("/");
      if (root !== "split") return false;
      try {
        if (what === "model") {
          // Names of a model's own files, never a path.
          const stream = createReadStream(join(dirname(model), basename(name)));
          await new Promise((resolve, reject) =>
            stream.on("error", reject).pipe(response).on("finish", resolve),
          );
        } else if (!(what in routes)) response.writeHead(404).end();
        else response.end(await routes[what](name, request));
      } catch (error) {
        if (!response.headersSent) response.writeHead(400);
        response.end((error as Error).message);
      }
      return true;
    },
  };
}

const json = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));

async function body(request: IncomingMessage): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of request) {
    length += chunk.length;
    if (length > MAX_BODY) throw new RangeError(`expected a frame of at most ${MAX_BODY} bytes`);
    chunks.push(chunk);
  }
  return new Uint8Array(Buffer.concat(chunks));
}

const toInput = (pixels: Uint8Array) =>
  tf.tidy(() => tf.sub(tf.div(tf.tensor4d(Float32Array.from(pixels), [1, SIDE, SIDE, 3]), 127.5), 1));

/** What a model makes of one input, which is disposed of. */
function outputOf(model: LayersModel, input: tf.Tensor): Float32Array {
  const values = tf.tidy(() => (model.predict(input) as tf.Tensor).dataSync<"float32">().slice());
  input.dispose();
  return values;
}
