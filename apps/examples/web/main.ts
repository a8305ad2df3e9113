// The page: one slider, one number that falls, and what the network still knows. Work is the worker's (messages.ts).
/// <reference types="vite/client" />
import { showLayers, showSizes } from "./bars.js";
import { type Cliff, showCliff } from "./cliff.js";
import { countTo } from "./count-to.js";
import { droppedFiles } from "./dropped-files.js";
import { showChosen, showMaps } from "./inside.js";
import {
  type Clerk,
  clerkOf,
  isPicture,
  type Opened,
  type PixelRange,
  type Squeezed,
  type Trial,
} from "./messages.js";
import facts from "./model/facts.json" with { type: "json" };
import { bytesText, element, timesText } from "./text.js";
import { markTiles, shareKept, showTiles } from "./tiles.js";
import { hintOn, leadOn, legendOf, snippetFor, verdictOn } from "./words.js";

const slider = element<HTMLInputElement>("squeeze");
const calibrating = element<HTMLInputElement>("calibrate");
const range = element<HTMLSelectElement>("range");
const positions = Number(slider.max) + 1;

/** Where the slider begins: at the least bits that keep the answers. To its left are quarters of a bit more, to its right is all the way to half a bit. */
const START = Number(slider.value);
const LEAST_BITS = 0.5;
/** Bits that keep the answers of the bundled network; and, about, of nearly any that cannot be asked. */
const [BUNDLED_BITS, BLIND_BITS] = [3.5, 8];

function bitsAt(position: number): number {
  const start = !state || state.isBundled ? BUNDLED_BITS : (state.opened.safeBits ?? BLIND_BITS);
  const step = position < START ? 0.25 : (start - LEAST_BITS) / (positions - 1 - START);
  return start - step * (position - START);
}

/** What is open. A later one replaces the whole object, so that answers about an earlier one are told apart. */
interface State {
  /** Who has the network. */
  clerk: Clerk;
  files: File[];
  isBundled: boolean;
  opened: Opened;
  trial?: Trial;
  /** Index of the picture that is looked at. */
  picture: number;
  /** What the worker holds, and looks into. */
  squeezed?: Squeezed;
  /** What the page shows, which is what is downloaded. */
  shown?: Squeezed;
  /** What came out so far. */
  known: Map<Key, Squeezed>;
}
let state: State | undefined;

/** Where slider and checkbox stand. */
interface Wish {
  position: number;
  isCalibrated: boolean;
}
type Key = `${number} ${boolean}`;
const keyOf = ({ position, isCalibrated }: Wish): Key => `${position} ${isCalibrated}`;
const settingOf = ({ position, isCalibrated }: Wish) => ({ bits: bitsAt(position), isCalibrated });
const wishFor = ({ opened }: State): Wish => ({
  position: slider.valueAsNumber,
  isCalibrated: opened.calibratesOn !== undefined && calibrating.checked,
});

const startClerk = () => clerkOf(new Worker(new URL("./worker.ts", import.meta.url), { type: "module" }));

async function openBundled(): Promise<void> {
  const urls = {
    "digits.json": new URL("./model/model.json", import.meta.url),
    "digits.bin": new URL("./model/digits.bin", import.meta.url),
  };
  const files = Object.entries(urls).map(
    async ([name, url]) => new File([await (await fetch(url)).blob()], name),
  );
  await open(await Promise.all(files), RANGES.unit, true);
}

/** Who is opening a network; a later one takes the place of one that is not open yet, whatever that was doing. */
let opening: Clerk | undefined;

/** Opens files that a visitor chose; if they are no network, says so and stays with the one before. */
async function open(files: File[], pixels?: PixelRange, isBundled = false): Promise<void> {
  const what = files.length > 3 ? `these ${files.length} files` : files.map(({ name }) => name).join(", ");
  element("error").textContent = "";
  if (!isBundled) element("opening").textContent = `Opening ${what} …`;
  opening?.end();
  const clerk = startClerk();
  opening = clerk;
  try {
    const opened = await clerk.ask("open", { files, range: pixels, isBundled }, (progress) => {
      if (!isBundled) element("opening").textContent = `Opening ${what}: ${progress}`;
    });
    opening = undefined;
    element("opening").textContent = "";
    state?.clerk.end();
    const trial = "problem" in opened.trial ? undefined : opened.trial;
    state = { clerk, files, isBundled, opened, trial, picture: 0, known: new Map() };
    showOpened(state);
    if (!pixels || isBundled) range.value = opened.isRangeTold ? TOLD : "unit";
    if (!isBundled) element("title").scrollIntoView();
    await squeeze();
  } catch (error) {
    if ((error as Error).name === "AbortError") return; // who took its place has the word
    clerk.end();
    opening = undefined;
    element("opening").textContent = "";
    element("error").textContent = `${sentence(what)} could not be opened: ${(error as Error).message}`;
  }
}

/** Pictures alone are for the network that is open. */
function openChosen(files: File[]): Promise<void> {
  if (!state || !files.every(isPicture)) return open(files);
  const network = state.files.filter((file) => !isPicture(file));
  return open([...network, ...files], chosenRange(), state.isBundled);
}

/** Ranges of pixels that networks are often given; and what the model's files say. */
const RANGES: Record<string, PixelRange> = {
  unit: { mean: [0], deviation: [1] },
  symmetric: { mean: [0.5], deviation: [0.5] },
  bytes: { mean: [0], deviation: [1 / 255] },
  imagenet: { mean: [0.485, 0.456, 0.406], deviation: [0.229, 0.224, 0.225] },
};
const TOLD = "told";
const chosenRange = (): PixelRange | undefined => RANGES[range.value];

const sentence = (text: string) => text.replace(/^these/, "These");

function showOpened(current: State): void {
  const { opened, isBundled, trial } = current;
  document.body.classList.toggle("untried", !trial);
  element("bundled").hidden = isBundled;
  element("range-choice").hidden = isBundled || !trial;
  range.querySelector<HTMLOptionElement>(`[value=${TOLD}]`)!.hidden = !opened.isRangeTold;
  element("lead").textContent = leadOn(opened, isBundled);
  element("was").textContent = bytesText(opened.tensorBytes);
  element("snippet").textContent = snippetFor(opened);
  element("calibration").hidden = opened.calibratesOn === undefined;
  if (opened.calibratesOn !== undefined)
    element("calibration-data").textContent = `Calibrate on ${opened.calibratesOn} (slower, as many bytes)`;
  if (trial) {
    showTiles(trial, (picture) => {
      current.picture = picture;
      void look(current);
    });
    element("layer").replaceChildren(...trial.layers.map((layer) => new Option(layer)));
    element("pictures-legend").textContent = legendOf(trial);
    element("pictures-hint").textContent = hintOn(opened, trial, isBundled);
  }
  element("verdict").textContent = "Squeezing …";
  slider.disabled = false;
  slider.value = `${START}`;
  element("most-bits").textContent = bitsText(bitsAt(0));
}

/** Follows the slider: of the positions that come while one is worked on, only the newest counts. */
let isSqueezing = false;
async function squeeze(): Promise<void> {
  showBits();
  const known = state?.known.get(keyOf(wishFor(state)));
  if (state && known) showSqueezed(state, known);
  if (isSqueezing) return;
  isSqueezing = true;
  try {
    for (let done: Key | undefined; ; ) {
      const current = state;
      if (!current || (current.squeezed && done === keyOf(wishFor(current)))) break;
      const wish = wishFor(current);
      done = keyOf(wish);
      const squeezed = await current.clerk.ask("squeeze", settingOf(wish), showProgress).catch((error) => {
        if (current === state) throw error;
      });
      if (!squeezed || current !== state) continue;
      current.known.set(done, squeezed);
      // Results on the way are worth showing until the one that is waited for is there.
      const newest = keyOf(wishFor(current));
      if (newest === done || !current.known.has(newest)) showSqueezed(current, squeezed);
      current.squeezed = squeezed;
      await look(current);
    }
  } catch (error) {
    element("verdict").textContent = (error as Error).message;
  } finally {
    isSqueezing = false;
    clearTimeout(waiting);
    waiting = 0;
  }
  if (state) surveyCliff(state).catch(() => {}); // nobody asked for it: where it fails, columns are missing
}

/** Says what it is doing, where that takes long enough to be noticed. */
let waiting = 0;
let doing = "";
function showProgress(progress: string): void {
  doing = progress;
  waiting ||= window.setTimeout(() => {
    element("verdict").textContent = `Squeezing: ${doing}`;
    waiting = 0;
  }, 700);
}

function bitsText(bits: number): string {
  const rounded = Math.round(100 * bits) / 100;
  return `${rounded} ${rounded === 1 ? "bit" : "bits"}`;
}

function showBits(): void {
  const text = `${bitsText(bitsAt(slider.valueAsNumber))} a weight`;
  element("bits").textContent = text;
  slider.setAttribute("aria-valuetext", text);
}

function showSqueezed(current: State, squeezed: Squeezed): void {
  const { opened, isBundled, trial } = current;
  current.shown = squeezed;
  clearTimeout(waiting);
  waiting = 0;
  const { bytes, now, compressMs, decodeMs } = squeezed;
  const { tensorBytes } = opened;
  const isOther = Math.abs(opened.fileBytes / tensorBytes - 1) > 0.05;
  countTo(bytes.length, tensorBytes);
  showSizes([
    { name: opened.dtype, bytes: tensorBytes },
    { name: "uint8 + deflate", bytes: opened.uint8DeflatedBytes },
    ...(isBundled ? [{ name: "uint8 + brotli-11", bytes: facts.uint8BrotliBytes }] : []),
    ...(isOther ? [{ name: "as you have it", bytes: opened.fileBytes }] : []),
    { name: "bitdiet", bytes: bytes.length, isNow: true },
  ]);
  showLayers(squeezed);
  const heard = document.createElement("span");
  heard.className = "unseen";
  heard.textContent = `${bytesText(bytes.length)}, `;
  const smaller = `${timesText(tensorBytes / bytes.length)} smaller. `;
  const verdict = `${smaller}${verdictOn(opened, squeezed)}`;
  // What is said once more is read out once more.
  if (element("verdict").textContent !== `${heard.textContent}${verdict}`)
    element("verdict").replaceChildren(heard, verdict);
  if (trial && now) markTiles(trial, now);
  showCliffs(current);
  element("times").textContent =
    `Compressed in ${Math.round(compressMs)} ms` +
    (now ? `, decoded and loaded in ${Math.round(decodeMs)} ms on this device.` : " on this device.");
  const download = element<HTMLButtonElement>("download");
  download.textContent = `Download ${opened.name}.bitdiet`;
  download.disabled = false;
}

function download({ opened, shown }: State): void {
  if (!shown) return;
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([shown.bytes as Uint8Array<ArrayBuffer>]));
  link.download = `${opened.name}.bitdiet`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000); // browsers take their time
}

/** Looks into the network with the chosen picture, before and now. */
async function look(current: State): Promise<void> {
  const { trial, squeezed, picture } = current;
  const layer = element<HTMLSelectElement>("layer").value;
  if (!trial || !squeezed?.now) return;
  showChosen(trial, trial.pictures[picture], picture, squeezed.now);
  if (!layer) return;
  const maps = await current.clerk.ask("look", { picture, layer }).catch((error) => {
    if (state === current) throw error;
  });
  if (!maps) return;
  if (state === current && current.picture === picture) showMaps(layer, maps.before, maps.now);
}

function showCliffs(current: State): void {
  const { trial, known } = current;
  const { position, isCalibrated } = wishFor(current);
  const cliff = (isCalibrated: boolean): Cliff =>
    Array.from({ length: positions }, (_, position) => {
      const squeezed = known.get(keyOf({ position, isCalibrated }));
      return squeezed && shareKept(trial, squeezed);
    });
  showCliff(cliff(isCalibrated), cliff(!isCalibrated), position);
}

/** A squeeze must be this quick, in ms, for all others to be tried unasked. */
const QUICK = 2500;

/** Tries the positions that nobody has been to yet, nearest first, while the visitor does nothing. */
async function surveyCliff(current: State): Promise<void> {
  const { squeezed, known } = current;
  if (!squeezed || squeezed.compressMs > QUICK) return;
  const { position: here, isCalibrated } = wishFor(current);
  const isIdle = () =>
    state === current && !isSqueezing && !opening && current.squeezed === squeezed && !document.hidden;
  for (let distance = 1; distance < positions; distance++) {
    for (const position of [here + distance, here - distance]) {
      const key = keyOf({ position, isCalibrated });
      if (position < 0 || position >= positions || known.has(key)) continue;
      if (!isIdle()) return;
      const passed = await current.clerk.ask("squeeze", {
        ...settingOf({ position, isCalibrated }),
        inPassing: true,
      });
      if (state !== current) return;
      known.set(key, passed);
      showCliffs(current);
    }
  }
}

function keepForOffline(): void {
  if (!import.meta.env.PROD || !("serviceWorker" in navigator)) return;
  navigator.serviceWorker.register("./service-worker.js").catch(() => {}); // e.g. in a private window: then online only
  void navigator.serviceWorker.ready.then(() => {
    element("offline").textContent = "This page now works without a network, too.";
  });
}

slider.addEventListener("input", () => void squeeze());
calibrating.addEventListener("change", () => void squeeze());
element("layer").addEventListener("change", () => state && void look(state));
element("bundled").addEventListener("click", () => void openBundled());
element("download").addEventListener("click", () => state && download(state));
const chooser = element<HTMLInputElement>("files");
chooser.addEventListener("change", () => {
  if (chooser.files?.length) void openChosen([...chooser.files]);
  chooser.value = "";
});
range.addEventListener("change", () => state && void open(state.files, chosenRange(), state.isBundled));
addEventListener("dragover", (event) => {
  event.preventDefault();
  document.body.classList.add("dragging");
});
addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) document.body.classList.remove("dragging");
});
addEventListener("drop", async (event) => {
  event.preventDefault();
  document.body.classList.remove("dragging");
  const files = event.dataTransfer ? await droppedFiles(event.dataTransfer) : [];
  if (files.length > 0) await openChosen(files);
});

showBits();
openBundled().catch((error: Error) => {
  element("verdict").textContent = `The network could not be loaded: ${error.message}`;
});
keepForOffline();
