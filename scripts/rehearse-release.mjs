// `node scripts/rehearse-release.mjs`: a release against a registry of its own on this machine (verdaccio, from npm): raises the
// versions as pending changesets say, packs, publishes, and uses what was published in empty folders: the command by npx,
// each package alone as ES module, as CommonJS and in TypeScript, and the READMEs' blocks. Works on a copy: nothing here changes. Build first.
import { execFileSync, spawn } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { transformSync } from "esbuild";
import { packAll } from "./pack.mjs";
import { publishedPackages, root } from "./packages.mjs";
import { importedBy, readmeBlocks } from "./readme-blocks.mjs";

const scratch = mkdtempSync(join(tmpdir(), "bitdiet-release-"));
const upstream = execFileSync("npm", ["config", "get", "registry"], { encoding: "utf8" }).trim();
const port = await new Promise((settle) => {
  const probe = createServer().listen(0, () => {
    const { port } = probe.address();
    probe.close(() => settle(port));
  });
});
const registry = `http://localhost:${port}/`;
const npmrc = join(scratch, "npmrc");
const env = { ...process.env, NPM_CONFIG_USERCONFIG: npmrc, NPM_CONFIG_REGISTRY: registry };
delete env.npm_config_registry;
const run = (command, args, cwd, more = {}) =>
  execFileSync(command, args, {
    ...{ cwd, env: { ...env, ...more }, encoding: "utf8" },
    stdio: ["ignore", "pipe", "inherit"],
  });

/** The committed tree with what was built here. */
function copyOfTree() {
  const copy = join(scratch, "tree");
  execFileSync("git", ["clone", "--quiet", root, copy]);
  symlinkSync(join(root, "node_modules"), join(copy, "node_modules"));
  for (const { folder } of publishedPackages()) {
    cpSync(join(folder, "dist"), join(copy, folder.slice(root.length), "dist"), { recursive: true });
  }
  return copy;
}

async function startRegistry() {
  writeFileSync(npmrc, `registry=${registry}\n//localhost:${port}/:_authToken=rehearsal\n`);
  const config = join(scratch, "verdaccio.yaml");
  writeFileSync(
    config,
    `storage: ${join(scratch, "storage")}
uplinks:
  npm:
    url: ${upstream}
packages:
  "@bitdiet/*": { access: $all, publish: $all }
  bitdiet: { access: $all, publish: $all }
  "**": { access: $all, proxy: npm }
max_body_size: 100mb
log: { type: stdout, format: pretty, level: error }
`,
  );
  const tool = join(scratch, "tool");
  mkdirSync(tool);
  // verdaccio asks for node-fetch by its tag "cjs", which not every mirror serves.
  writeFileSync(join(tool, "package.json"), '{ "overrides": { "node-fetch": "2.7.0" } }');
  execFileSync("npm", ["install", "--no-audit", "--no-fund", "verdaccio@6"], { cwd: tool, stdio: "ignore" });
  const server = spawn(
    process.execPath,
    [join(tool, "node_modules/verdaccio/bin/verdaccio"), "--config", config, "--listen", String(port)],
    { stdio: ["ignore", "ignore", "inherit"] },
  );
  for (let attempt = 0; ; attempt++) {
    if (
      await fetch(`${registry}-/ping`).then(
        ({ ok }) => ok,
        () => false,
      )
    )
      return server;
    if (attempt === 120) throw new Error("verdaccio does not start");
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
}

function emptyFolder(name, ...install) {
  const folder = join(scratch, name);
  mkdirSync(folder);
  writeFileSync(join(folder, "package.json"), '{ "private": true }\n');
  if (install.length > 0) run("npm", ["install", "--no-audit", "--no-fund", ...install], folder);
  return folder;
}

/** @param skip the declarations of libraries, where a peer's own do not hold */
function checkTypes(name, folder, skip) {
  for (const ending of ["mts", "cts"])
    writeFileSync(
      join(folder, `use.${ending}`),
      `import * as all from "${name}";\nexport const names = Object.keys(all);\n`,
    );
  const options = [
    "--noEmit",
    "--strict",
    "--target",
    "es2022",
    "--module",
    "nodenext",
    ...(skip ? ["--skipLibCheck"] : []),
  ];
  const types = join(root, "node_modules/@types");
  const args = [
    join(root, "node_modules/typescript/bin/tsc6"),
    ...options,
    "--typeRoots",
    types,
    "--types",
    "node",
    "use.mts",
    "use.cts",
  ];
  try {
    run(process.execPath, args, folder);
  } catch (error) {
    throw new Error(`${name} in TypeScript: ${error.stdout}`);
  }
}

/** Blocks of all READMEs, with what they import, from the registry. */
function runReadmes(packages) {
  const blocks = packages.flatMap(({ name, folder }) =>
    readmeBlocks(join(folder, "README.md")).map((block) => ({ name, ...block })),
  );
  const ofTfjs = ["cpu", "wasm"].map((name) => `@tensorflow/tfjs-backend-${name}`);
  const others = [...importedBy(blocks), ...ofTfjs].filter((name) => name.startsWith("@tensorflow/"));
  const ours = packages.map(({ name, version }) => `${name}@${version}`);
  const folder = emptyFolder("readme", ...ours, ...[...new Set(others)].map((name) => `${name}@4.22.0`));
  for (const [index, { name, line, code }] of blocks.entries()) {
    const file = `block-${index}.mjs`;
    writeFileSync(join(folder, file), transformSync(code, { loader: "ts", format: "esm" }).code);
    try {
      run(process.execPath, [file], folder);
    } catch (error) {
      throw new Error(`README of ${name}, line ${line}: ${error.message}`);
    }
  }
  console.log(`ok ${blocks.length} blocks of ${packages.length} READMEs`);
}

let server;
try {
  const copy = copyOfTree();
  if (existsSync(join(copy, ".changeset"))) run("npx", ["changeset", "version"], copy);
  const packs = join(scratch, "packs");
  const packed = packAll(packs, copy);
  writeFileSync(join(packs, "packs.json"), JSON.stringify(packed));
  server = await startRegistry();
  run(
    process.execPath,
    [join(root, "scripts/publish.mjs"), packs, "--provenance=false", "--loglevel=error"],
    copy,
  );
  for (const { manifest } of publishedPackages(copy)) {
    const { name, version, peerDependencies = {}, peerDependenciesMeta = {} } = manifest;
    const peers = Object.keys(peerDependencies)
      .filter((peer) => !peerDependenciesMeta[peer]?.optional)
      .map((peer) => `${peer}@${peerDependencies[peer]}`);
    const folder = emptyFolder(name.replaceAll("/", "-"), `${name}@${version}`, ...peers);
    run(process.execPath, ["--input-type=module", "-e", `await import("${name}")`], folder);
    run(process.execPath, ["--input-type=commonjs", "-e", `require("${name}")`], folder);
    checkTypes(name, folder, peers.length > 0);
    console.log(`ok ${name}@${version} alone, as ES module, as CommonJS and in TypeScript`);
  }
  const folder = emptyFolder("npx");
  // What npx has of an earlier rehearsal has the same versions.
  const npm_config_cache = emptyFolder("cache");
  const help = run("npx", ["--yes", "bitdiet", "--help"], folder, { npm_config_cache });
  if (!/compress/.test(help)) throw new Error(`npx bitdiet --help: ${help}`);
  console.log("ok npx bitdiet in an empty folder");
  runReadmes(publishedPackages(copy).map(({ folder, manifest }) => ({ ...manifest, folder })));
} finally {
  server?.kill();
  rmSync(scratch, { recursive: true, force: true });
}
