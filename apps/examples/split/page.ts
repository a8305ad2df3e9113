// The page: every picture goes through both halves once, and again whenever the slider moves; any is looked at by a click.
import { type FeatureCodec, featureCodec } from "@bitdiet/feature-codec";
import { drawMaps } from "../web/inside.js";
import { bytesText, element, percentText } from "../web/text.js";
import type { Answer, Facts } from "./messages.js";
import { type HalvedNetwork, loadNetwork } from "./network.js";

const slider = element<HTMLInputElement>("coarseness");
/** Channels that are drawn. */
const DRAWN = 64;

interface Place {
  pixels: Uint8Array;
  name: string;
  button: HTMLButtonElement;
  /** Likeliest classes by the whole network. */
  whole: { name: string; probability: number }[];
  features: Float32Array;
}

/** One picture's way through both halves. */
interface Trip {
  answer: Answer;
  frame: Uint8Array;
  decoded: Float32Array;
  encodeMs: number;
  roundTripMs: number;
  isSameMap: boolean;
}

async function fetched(path: string, init?: RequestInit): Promise<Response> {
  const response = await fetch(`/split/${path}`, init);
  if (!response.ok) throw new Error(`The server refused /split/${path}: ${await response.text()}`);
  return response;
}
const bytesOf = async (path: string) => new Uint8Array(await (await fetched(path)).arrayBuffer());

async function sent(codec: FeatureCodec, place: Place, coarseness: number): Promise<Trip> {
  const start = performance.now();
  const frame = codec.encode(place.features, { coarseness });
  const encoded = performance.now();
  const response = await fetched("features", { method: "POST", body: frame as Uint8Array<ArrayBuffer> });
  const answer: Answer = await response.json();
  const roundTripMs = performance.now() - encoded;
  const decoded = codec.decode(frame);
  const digest = await crypto.subtle.digest("SHA-256", decoded as Float32Array<ArrayBuffer>);
  const hash = Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("");
  return { answer, frame, decoded, encodeMs: encoded - start, roundTripMs, isSameMap: hash === answer.hash };
}

function likeliest(probabilities: Float32Array, names: string[]): Place["whole"] {
  const order = Array.from(probabilities.keys()).sort((a, b) => probabilities[b] - probabilities[a]);
  return order.slice(0, 3).map((index) => ({ name: names[index], probability: probabilities[index] }));
}

function thumbnail(pixels: Uint8Array, side: number, name: string): HTMLButtonElement {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = side;
  const image = new ImageData(side, side);
  for (let i = 0; i < side * side; i++) {
    image.data.set(pixels.subarray(3 * i, 3 * i + 3), 4 * i);
    image.data[4 * i + 3] = 255;
  }
  canvas.getContext("2d")!.putImageData(image, 0, 0);
  const button = document.createElement("button");
  button.type = "button";
  button.title = name;
  button.setAttribute("aria-label", name);
  button.append(canvas);
  return button;
}

async function place(index: number, facts: Facts, names: string[], network: HalvedNetwork): Promise<Place> {
  const pixels = await bytesOf(`pictures/${index}`);
  const name = facts.pictures[index];
  const button = thumbnail(pixels, facts.side, name);
  const whole = likeliest(network.probabilities(pixels), names);
  return { pixels, name, button, whole, features: network.features(pixels) };
}

const best = ({ name, probability }: { name: string; probability: number }) =>
  `${name}, ${percentText(probability)}`;
const ms = (time: number) => `${time.toFixed(time < 10 ? 1 : 0)} ms`;

function rowsOf(cells: string[][]): HTMLTableRowElement[] {
  return cells.map((texts) => {
    const row = document.createElement("tr");
    for (const text of texts) row.insertCell().textContent = text;
    return row;
  });
}

function show({ shape, layer }: Facts, { name, whole, features }: Place, trip: Trip): void {
  const { answer, frame, decoded, encodeMs, roundTripMs, isSameMap } = trip;
  element("caption").textContent = `On the picture: ${name}`;
  const answers = whole.map((here, i) => [best(here), best(answer.best[i])]);
  element<HTMLTableElement>("answers").tBodies[0].replaceChildren(...rowsOf(answers));
  const share = frame.length / features.byteLength;
  element<HTMLTableElement>("frame").tBodies[0].replaceChildren(
    ...rowsOf([
      ["Layer", `${layer}, ${shape.join(" × ")}`],
      ["Bytes", `${bytesText(frame.length)}, ${percentText(share)} of float32`],
      ["Bits a value", ((8 * frame.length) / features.length).toFixed(2)],
      ["Encoding, here", ms(encodeMs)],
      ["There and back", ms(roundTripMs)],
      ["of that, decoding", ms(answer.decodeMs)],
      ["of that, second half", ms(answer.networkMs)],
      ["Decoded here and there", isSameMap ? "the same, bit for bit" : "not the same"],
    ]),
  );
  const largest = features.reduce((most, value) => Math.max(most, Math.abs(value)), 1e-9);
  const shown = Math.min(DRAWN, shape[2]);
  drawMaps(element<HTMLCanvasElement>("before"), { shape, values: features }, shown, largest);
  drawMaps(element<HTMLCanvasElement>("after"), { shape, values: decoded }, shown, largest);
  const [error, energy] = features.reduce(
    ([e, s], value, i) => [e + (decoded[i] - value) ** 2, s + value ** 2],
    [0, 1e-30],
  );
  element("off").textContent = `, off by ${percentText(Math.sqrt(error / energy))}`;
}

const text = (coarseness: number) =>
  coarseness === 0 ? "as learned" : `steps × ${(2 ** (coarseness / 4)).toFixed(2)}`;

async function run(): Promise<void> {
  const [facts, names]: [Facts, string[]] = await Promise.all([
    fetched("facts").then((response) => response.json()),
    fetched("names").then((response) => response.json()),
  ]);
  const [network, file] = await Promise.all([loadNetwork(facts), bytesOf("codec")]);
  const codec = featureCodec(file);
  const places: Place[] = [];
  for (let index = 0; index < facts.pictures.length; index++) {
    element("verdict").textContent =
      `Running the network here, on picture ${index + 1} of ${facts.pictures.length} …`;
    const next = await place(index, facts, names, network);
    places.push(next);
    element("pictures").append(next.button);
    await new Promise((resolve) => setTimeout(resolve));
  }
  let latest = 0;
  const showOne = (chosen: Place, trip: Trip) => {
    for (const { button } of places) button.setAttribute("aria-pressed", `${button === chosen.button}`);
    show(facts, chosen, trip);
  };
  const look = async (chosen: Place) => showOne(chosen, await sent(codec, chosen, slider.valueAsNumber));
  const all = async () => {
    const mine = ++latest;
    element("coarse").textContent = text(slider.valueAsNumber);
    for (const { button } of places) button.className = "";
    let [same, bytes, latency] = [0, 0, 0];
    for (const [i, each] of places.entries()) {
      const trip = await sent(codec, each, slider.valueAsNumber);
      if (mine !== latest) return;
      const isSame = trip.answer.best[0].name === each.whole[0].name;
      each.button.className = isSame ? "same" : "other";
      same += isSame ? 1 : 0;
      bytes += trip.frame.length;
      latency += trip.encodeMs + trip.roundTripMs;
      if (i === 0) showOne(each, trip);
      const count = i + 1;
      element("verdict").textContent =
        `${same} of ${count} answers as the whole network's, ${bytesText(Math.round(bytes / count))} a picture ` +
        `instead of ${bytesText(each.features.byteLength)}, ${ms(latency / count)} from map to answer` +
        `${count === places.length ? "." : " …"}`;
    }
  };
  const failed = (error: Error) => {
    element("error").textContent = error.message;
  };
  for (const each of places) each.button.addEventListener("click", () => look(each).catch(failed));
  slider.disabled = false;
  slider.addEventListener("input", () => all().catch(failed));
  await all();
}

run().catch((error: Error) => {
  element("verdict").textContent = "";
  element("error").textContent = error.message;
});
