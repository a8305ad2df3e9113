// A run goes on only as it began: the options that training depends on lie beside its state.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { writeWhole } from "../report/write.js";
import { UsageError } from "./command-line.js";

/** @throws {UsageError} if the run that is resumed began with other options */
export function checkResumed({
  resume,
  out,
  json: _,
  backend: __,
  ...training
}: {
  resume: boolean;
  out: string;
  json: boolean;
  backend: string;
}): void {
  const path = join(out, "training", "options.json");
  const text = `${JSON.stringify(training, null, 2)}\n`;
  if (resume && existsSync(path) && readFileSync(path, "utf8") !== text)
    throw new UsageError(`--resume: ${path} says that the run began with other options`);
  writeWhole(path, text);
}
