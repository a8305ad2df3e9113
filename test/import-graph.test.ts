import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { expect, test } from "vitest";

/**
 * The arrows of the house: which package may import which, in its sources. Anything not listed must not be imported.
 * stream is private and bundled into the coders, so a published coder still has no dependency.
 */
const tf = "@tensorflow/tfjs-core";
const coders = ["@bitdiet/ans", "@bitdiet/cabac"];
/** Doors to single decoders: what loads them is cut between modules. */
const decoders = ["ans/decode-bytes", "ans/decode-weights", "cabac/decode", "cabac/range-coder"];
const arrows: Record<string, string[]> = {
  stream: [],
  huffman: ["@bitdiet/stream"],
  ans: ["@bitdiet/stream"],
  cabac: ["@bitdiet/stream"],
  "dct-transform": [],
  "feature-codec": ["@bitdiet/ans", "@bitdiet/stream"],
  "entropy-loss": [tf],
  "fake-quant": [tf],
  "wasm-training": [tf, "@tensorflow/tfjs-backend-wasm"],
  "compression-aware": [tf, "@bitdiet/entropy-loss", "@bitdiet/fake-quant"],
  bitdiet: [...coders, ...decoders.map((door) => `@bitdiet/${door}`), "@bitdiet/stream"],
};
/** Files that may import more than the rest of their package: the doors to tf, to the command's libraries and to Node. */
const doors: Record<string, { files: RegExp; imports: RegExp }[]> = {
  // Around a layers model, and to the file that it becomes.
  "compression-aware": [
    { files: /^layers\/.*\.ts$/, imports: /^(@tensorflow\/tfjs-layers|bitdiet(\/training)?)$/ },
    { files: /^layers\/file\.ts$/, imports: /^node:/ },
  ],
  "dct-transform": [{ files: /^training\.ts$/, imports: /^@tensorflow\/tfjs-core$/ }],
  bitdiet: [
    {
      files: /^(calibrate|loaders\/tfjs|networks\/tfjs\/.*)\.ts$/,
      imports: /^@tensorflow\/tfjs-(core|layers|converter)$/,
    },
    {
      files: /^cli\/.*\.ts$/,
      imports: /^(node:.*|cac|cli-progress|@tensorflow\/tfjs-(core|layers|backend-cpu))$/,
    },
    // Types alone: what is there is imported when it is needed.
    { files: /^cli\/calibration\/.*\.ts$/, imports: /^(sharp|fflate|@huggingface\/tokenizers)$/ },
    {
      files: /^(loaders\/(vite|source|tfjs|worker)|formats\/(node|whole)-files|networks\/find-runner)\.ts$/,
      imports: /^node:/,
    },
  ],
};

/** Runtime dependencies of packages that have any. */
const dependenciesOf: Record<string, string[]> = {
  "compression-aware": ["@bitdiet/entropy-loss", "@bitdiet/fake-quant", "bitdiet"],
  "feature-codec": ["@bitdiet/ans"],
  bitdiet: [...coders, "cac", "cli-progress"].sort(),
};

const root = join(import.meta.dirname, "..");

function sources(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts"))
    .map((name) => join(folder, name));
}

/** What a file imports or re-exports, types included. */
function imports(file: string): string[] {
  const text = readFileSync(file, "utf8").replaceAll(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, "");
  const found = text.matchAll(
    /(?:^|[\s;}])(?:import|export)\s[^'";]*?from\s*"([^"]+)"|import\s*\(?\s*"([^"]+)"/g,
  );
  return [...found].map((match) => match[1] ?? match[2]);
}

test.each(Object.keys(arrows))("%s imports only what the architecture's arrows allow", (name) => {
  const folder = join(root, "packages", name);
  for (const file of sources(join(folder, "src"))) {
    const inside = relative(join(folder, "src"), file).replaceAll("\\", "/");
    const open = (doors[name] ?? []).filter(({ files }) => files.test(inside));
    const foreign = imports(file).filter(
      (path) =>
        !path.startsWith(".") &&
        !arrows[name].includes(path) &&
        !open.some(({ imports }) => imports.test(path)),
    );
    expect({ file: relative(root, file), foreign }).toEqual({ file: relative(root, file), foreign: [] });
  }
});

test("every folder in packages has its arrows written down, or is private and may import every package", () => {
  const folders = readdirSync(join(root, "packages"));
  expect(folders.filter((name) => !(name in arrows))).toEqual(["bench", "zoo"]);
});

test("nothing imports the bench or the examples: what they share is the zoo, and only they import that", () => {
  for (const folder of ["packages/zoo", "packages/bench", "apps/examples"]) {
    const own = sources(join(root, folder)).filter((file) => !file.includes("node_modules"));
    const foreign = own.flatMap((file) =>
      imports(file)
        .filter((path) => /^@bitdiet\/(bench|examples)(\/|$)/.test(path))
        .concat(imports(file).filter((path) => leaves(join(root, folder), file, path)))
        .map((path) => `${relative(root, file)}: ${path}`),
    );
    expect(foreign).toEqual([]);
  }
});

/** A relative import that leads out of its package. */
function leaves(folder: string, file: string, path: string): boolean {
  return path.startsWith(".") && relative(folder, join(dirname(file), path)).startsWith("..");
}

test.each(Object.keys(arrows))("%s has no circle of imports among its files", (name) => {
  const files = sources(join(root, "packages", name, "src"));
  const graph = new Map(
    files.map((file) => [
      file,
      imports(file)
        .filter((path) => path.startsWith("."))
        .map((path) => join(dirname(file), path.replace(/\.js$/, ".ts"))),
    ]),
  );
  const done = new Set<string>();
  function visit(file: string, trail: string[]): void {
    if (trail.includes(file))
      throw new Error(`circle: ${[...trail, file].map((step) => relative(root, step)).join(" -> ")}`);
    if (done.has(file)) return;
    for (const next of graph.get(file) ?? []) visit(next, [...trail, file]);
    done.add(file);
  }
  for (const file of files) visit(file, []);
  expect(done.size).toBe(files.length);
});

test("nothing published depends on the examples or the bench, and leaves have no runtime dependency", () => {
  for (const name of Object.keys(arrows)) {
    const { dependencies = {} } = JSON.parse(
      readFileSync(join(root, "packages", name, "package.json"), "utf8"),
    );
    const expected = dependenciesOf[name] ?? [];
    expect({ name, dependencies: Object.keys(dependencies).sort() }).toEqual({
      name,
      dependencies: expected,
    });
  }
});
