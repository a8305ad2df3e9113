// Checks every published package as a stranger gets it: `npm pack`, publint --strict, are-the-types-wrong, then installs
// the tarball with its peers into an empty project and uses it there as an ES module, as CommonJS and from TypeScript, by the
// resolution of Node and by that of bundlers.
// The ESM programs are the README's own blocks; those marked `ts` are type-checked, too. Usage: node scripts/check-packs.mjs [package …]
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { transformSync } from "esbuild";
import { packAll } from "./pack.mjs";
import { importedBy, readmeBlocks } from "./readme-blocks.mjs";

const root = resolve(import.meta.dirname, "..");
const bin = (name) => join(root, "node_modules", ".bin", name);
const scratch = mkdtempSync(join(tmpdir(), "bitdiet-packs-"));

function run(command, args, cwd) {
  try {
    return execFileSync(command, args, { cwd, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
  } catch (error) {
    throw new Error(
      `${command} ${args.join(" ")} failed in ${cwd}\n${error.stdout ?? ""}${error.stderr ?? ""}`,
    );
  }
}

const manifest = (name) => JSON.parse(readFileSync(join(root, "packages", name, "package.json"), "utf8"));

/** Tarballs by package name: those that others need are not on the registry yet. */
const tarballs = () =>
  Object.fromEntries(
    packAll(scratch).map(({ name, filename, size }) => {
      const { dependencies = {} } = manifest(name.replace("@bitdiet/", ""));
      return [name, { tarball: join(scratch, filename), size, dependencies }];
    }),
  );

/** An error of any sub-path, as ES module or CommonJS, is an instance of the class that each other one exports. */
const oneError = (paths) => `
  (async () => {
    const modules = [];
    for (const path of ${JSON.stringify(paths)}) modules.push(require(path), await import(path));
    const classes = modules.flatMap(({ CorruptInputError }) => CorruptInputError ?? []);
    for (const Class of classes)
      for (const Other of classes)
        if (!(new Class("x") instanceof Other)) throw new Error("two kinds of CorruptInputError");
  })().catch((error) => {
    console.error(error);
    process.exitCode = 1;
  });
`;

/** Packages of ours among these, and those of ours that they need in turn. */
function withDependencies(names, packs, found = new Set()) {
  for (const name of names) {
    if (!(name in packs) || found.has(name)) continue;
    found.add(name);
    withDependencies(Object.keys(packs[name].dependencies), packs, found);
  }
  return [...found];
}

function check(name, packs) {
  const folder = join(root, "packages", name);
  const { name: packageName, exports, dependencies = {}, peerDependencies = {} } = manifest(name);
  const { tarball, size } = packs[packageName];
  const blocks = readmeBlocks(join(folder, "README.md"));
  run(bin("publint"), ["--strict"], folder);
  // node10 knows no sub-path exports; every Node since 12 does.
  run(bin("attw"), [tarball, "--no-color", "--profile", "node16"], folder);

  const project = join(scratch, name);
  mkdirSync(project);
  writeFileSync(join(project, "package.json"), '{ "private": true }\n');
  // The README's blocks may use more of TF.js beside the peers, or another package of ours; a user installs those, too.
  const peers = Object.entries(peerDependencies).map(([peer, range]) => `${peer}@${range}`);
  const used = importedBy(blocks);
  const backends = [
    ...new Set([
      ...(peers.length ? ["@tensorflow/tfjs-backend-cpu", "@tensorflow/tfjs-layers"] : []),
      ...used.filter((other) => other.startsWith("@tensorflow/") && !(other in peerDependencies)),
    ]),
  ].map((other) => `${other}@4.22.0`);
  const ours = withDependencies([...Object.keys(dependencies), ...used], packs).filter(
    (other) => other !== packageName,
  );
  const wanted = [tarball, ...ours.map((other) => packs[other].tarball), ...peers, ...backends];
  // Without install scripts: that of onnxruntime-node only fetches what a GPU needs.
  const flags = ["--no-audit", "--no-fund", "--prefer-offline", "--ignore-scripts"];
  run("npm", ["install", ...flags, ...wanted], project);

  const paths = Object.keys(exports)
    .filter((path) => path !== "./package.json")
    .map((path) => packageName + path.slice(1));
  for (const [index, path] of paths.entries()) {
    writeFileSync(
      join(project, `same-${index}.mjs`),
      `import { createRequire } from "node:module";
       import * as esm from ${JSON.stringify(path)};
       const cjs = createRequire(import.meta.url)(${JSON.stringify(path)});
       const names = (module) => Object.keys(module).filter((key) => key !== "default" && key !== "__esModule").sort().join();
       if (!names(esm) || names(esm) !== names(cjs)) throw new Error("ESM and CommonJS export different names");`,
    );
    run(process.execPath, [`same-${index}.mjs`], project);
  }
  writeFileSync(join(project, "errors.cjs"), oneError(paths));
  run(process.execPath, ["errors.cjs"], project);
  for (const [index, { code, language }] of blocks.entries()) {
    if (language === "ts") writeFileSync(join(project, `readme-${index}.mts`), `${code}\nexport {};\n`);
    writeFileSync(
      join(project, `readme-${index}.mjs`),
      transformSync(code, { loader: "ts", format: "esm" }).code,
    );
    run(process.execPath, [`readme-${index}.mjs`], project);
  }
  const commonjs = paths.map(
    (path, index) => `import p${index} = require(${JSON.stringify(path)});\nvoid p${index};`,
  );
  writeFileSync(join(project, "commonjs.cts"), `${commonjs.join("\n")}\n`);
  const options = {
    module: "nodenext",
    strict: true,
    noEmit: true,
    skipLibCheck: true,
    target: "es2022",
    lib: ["es2022", "dom"],
    types: [],
  };
  const bundled = { ...options, module: "esnext", moduleResolution: "bundler" };
  for (const [file, compilerOptions, include] of [
    ["tsconfig.json", options, ["*.mts", "*.cts"]],
    ["tsconfig.bundler.json", bundled, ["*.mts", "bundler.ts"]],
  ]) {
    writeFileSync(join(project, file), JSON.stringify({ compilerOptions, include }));
  }
  const imports = paths.map((path, index) => `import * as p${index} from "${path}";\nvoid p${index};`);
  writeFileSync(join(project, "bundler.ts"), `${imports.join("\n")}\n`);
  for (const file of ["tsconfig.json", "tsconfig.bundler.json"]) run(bin("tsc"), ["-p", file], project);
  console.log(
    `ok ${packageName}: ${(size / 1024).toFixed(1)} kB packed, ${blocks.length} README blocks as ESM and TypeScript`,
  );
}

try {
  const packs = tarballs();
  const names = process.argv.slice(2);
  const published = readdirSync(join(root, "packages")).filter((name) => !manifest(name).private);
  for (const name of names.length ? names : published) check(name, packs);
} finally {
  rmSync(scratch, { recursive: true, force: true });
}
