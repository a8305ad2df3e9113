// Which of a list's jobs a process is to do. Schedulers that start a program many times tell each copy its number in a
// variable. Example: `sbatch --array=0-88` starts 89 copies, with SLURM_ARRAY_TASK_ID from 0 to 88.
import { UsageError } from "./command-line.js";

/** Variables that hold an index, and what they call the first: GNU parallel counts from 1. */
const VARIABLES: readonly [name: string, first: number][] = [
  ["SLURM_ARRAY_TASK_ID", 0],
  ["JOB_COMPLETION_INDEX", 0],
  ["AWS_BATCH_JOB_ARRAY_INDEX", 0],
  ["PARALLEL_SEQ", 1],
];

/**
 * The index that was given, or that a scheduler's variable tells; from 0.
 *
 * @param count of jobs
 * @param given with --index, if it was
 * @throws {UsageError} unless there is one index, of a job that exists
 */
export function arrayIndex(
  count: number,
  given: unknown,
  environment: Record<string, string | undefined> = process.env,
): number {
  const told = VARIABLES.filter(([name]) => (environment[name] ?? "") !== "");
  const names = (variables: typeof VARIABLES) => variables.map(([name]) => name).join(", ");
  if (given === undefined && told.length !== 1) {
    const got = told.length === 0 ? "none" : names(told);
    throw new UsageError(`expected --index or one of ${names(VARIABLES)}, got ${got}`);
  }
  const [name, first] = given === undefined ? told[0] : (["--index", 0] as const);
  const value = given ?? environment[name];
  const index = /^\d{1,9}$/.test(String(value)) ? Number(value) - first : Number.NaN;
  if (index >= 0 && index < count) return index;
  throw new UsageError(`${name}: expected ${first} to ${count - 1 + first}, got ${JSON.stringify(value)}`);
}
