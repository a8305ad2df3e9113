/**
 * Role of a tensor from how a network uses it: its value is followed through operations that only move numbers, to those that
 * compute with them. The operations of a format come with a function that says what each does with its inputs.
 *
 *     const useOf = usesIn(operations, roleOf, new Set(["x"]));
 *     useOf("w", [8, 3, 3, 3]); // { kind: "weight", channelAxis: 0, reason: "kernel of Conv conv1" }
 */
import type { TensorUse, TrainedGrid } from "../model.js";

/** What an operation's place tells of a tensor, whatever its type is. */
export type FollowedUse = TensorUse & { width?: number };

/** What a table of ours has under a name of somebody else's, such as "constructor". */
export const lookUp = <Entry>(table: Readonly<Record<string, Entry>>, name: string): Entry | undefined =>
  Object.hasOwn(table, name) ? table[name] : undefined;

export interface Operation {
  op: string;
  /** What people call it: its name, or that of its output. */
  label: string;
  /** Values, "" for one that is absent. */
  inputs: readonly string[];
  outputs: readonly string[];
}

/** Extents as far as they are known. */
export type KnownShape = readonly number[] | undefined;

export interface GridAlong {
  grid: TrainedGrid;
  axis?: number;
}

/** Computes with it: a weight, whose `data` is the other operand. */
export interface WeightRole {
  kind: "weight" | "depthwise" | "embedding";
  as: string;
  axis(shape: KnownShape): number | undefined;
  /** Whether its kernels see inputs side by side. */
  isConvolution?: boolean;
  /** Bits of an integer of which an element holds several: see `IntegerRows`. */
  width?: number;
  data?: number;
}

/** What an operation does with one of its inputs. */
export type Role =
  | WeightRole
  | { kind: "vector"; as: string }
  /** Moves its numbers: `back` gives an output's axis as one of the input's, `forward` the output's shape. */
  | {
      kind: "moved";
      outputs: readonly number[];
      back(axis: number, shape: KnownShape): number | undefined;
      forward(shape: KnownShape): KnownShape;
      /** Levels to which it rounds them, along an axis of the input if there are several steps. */
      grid?: GridAlong;
    }
  /** Looks at its shape alone. */
  | { kind: "ignored" }
  /** Needs its very values. */
  | { kind: "exact"; as: string };

export interface Roles<Op extends Operation> {
  roleOf(operation: Op, input: number, shape: KnownShape): Role;
  /** Whether outputs are linear in the inputs that are no constants. */
  isLinear(operation: Op): boolean;
  /** Whether it hands on what a filter gives, so that a magnitude behind it is one of the filter's output. */
  isCarried(operation: Op): boolean;
  /** Whether it makes magnitudes or logarithms of its inputs, as a spectrogram does of what its filters give. */
  isMagnitude(operation: Op): boolean;
  isLogarithm(operation: Op): boolean;
  /** Whether it keeps values from going below a bound, as is done before a logarithm is taken. */
  isClipped(operation: Op): boolean;
}

interface Found {
  use: FollowedUse;
  /** Whether a weight is a filter. */
  isFilter?: boolean;
}

const rank = { depthwise: 3, weight: 2, embedding: 1, vector: 0 };

/**
 * @param inputs values that come from outside
 * @returns the use of a constant value
 */
export function usesIn<Op extends Operation>(
  operations: readonly Op[],
  roles: Roles<Op>,
  inputs: ReadonlySet<string>,
): (value: string, shape: readonly number[]) => FollowedUse {
  const users = new Map<string, [Op, number][]>();
  const makers = new Map<string, Op[]>();
  for (const operation of operations) {
    operation.inputs.forEach((value, i) => void add(users, value, [operation, i]));
    for (const value of operation.outputs) add(makers, value, operation);
  }
  const signals = signalPaths(users, makers, roles, inputs);

  return (value, shape) => {
    const found: Found[] = [];
    const seen = new Set<string>();
    const follow = (
      at: string,
      known: KnownShape,
      toSource: (axis: number) => number | undefined,
      along?: GridAlong,
    ) => {
      if (seen.has(at)) return;
      seen.add(at);
      for (const [operation, input] of users.get(at) ?? []) {
        const role = roles.roleOf(operation, input, known);
        if (role.kind === "moved") {
          const next = role.forward(known);
          const { grid, axis: channels } = role.grid ?? {};
          const rounded = grid && { grid, axis: channels === undefined ? undefined : toSource(channels) };
          for (const output of role.outputs)
            follow(
              operation.outputs[output] ?? "",
              next,
              (axis) => {
                const before = role.back(axis, known);
                return before === undefined ? undefined : toSource(before);
              },
              rounded ?? along,
            );
        } else if (role.kind !== "ignored") found.push(foundUse(operation, role, known, toSource, along));
      }
    };
    const foundUse = (
      operation: Op,
      role: Exclude<Role, { kind: "moved" | "ignored" }>,
      known: KnownShape,
      toSource: (axis: number) => number | undefined,
      along: GridAlong | undefined,
    ): Found => {
      const reason = `${role.as} of ${operation.op} ${operation.label}`;
      if (role.kind === "vector" || role.kind === "exact") return { use: { kind: role.kind, reason } };
      if (role.data !== undefined && signals.isFilter(operation, operation.inputs[role.data]))
        return { use: { kind: "exact", reason: `filter of a signal, ${reason}` } };
      const axis = role.axis(known);
      const source = axis === undefined ? undefined : toSource(axis);
      const { kind, width, isConvolution } = role;
      const channelAxis = inShape(source, shape);
      const isAlong = along && (along.grid.steps.length === 1 || along.axis === channelAxis);
      const use = {
        kind,
        channelAxis,
        reason,
        ...(isConvolution && { isConvolution }),
        ...(width && { width }),
      };
      return { use: isAlong ? { ...use, grid: along.grid } : use };
    };
    follow(value, shape, (axis) => axis);
    const uses = found.map(({ use }) => use);
    const exact = uses.find(({ kind }) => kind === "exact");
    if (exact || uses.length === 0) return exact ?? { kind: "exact", reason: "used by no operation" };
    const best = uses.reduce((best, use) => (rankOf(use) > rankOf(best) ? use : best));
    // What is also used as it is, or on another grid, has no grid of its own.
    if ("grid" in best && uses.some((use) => !("grid" in use) || use.grid !== best.grid))
      return { ...best, grid: undefined };
    return best;
  };
}

function add<Value>(lists: Map<string, Value[]>, key: string, value: Value): void {
  const list = lists.get(key);
  if (list) list.push(value);
  else lists.set(key, [value]);
}

const rankOf = ({ kind }: TensorUse) => rank[kind as keyof typeof rank];

/** An axis that is one; the first if none was found. */
function inShape(axis: number | undefined, shape: readonly number[]): number {
  return axis !== undefined && axis >= 0 && axis < Math.max(1, shape.length) ? axis : 0;
}

/** Steps that are looked at behind or before an operation: a front end is shallow. */
const MAX_STEPS = 200;

/**
 * Filters of a signal's front end: they meet the input with nothing but linear operations in between, and magnitudes or logarithms
 * are made of what they give; or they gather such magnitudes into bands, of which a logarithm is taken.
 */
function signalPaths<Op extends Operation>(
  users: ReadonlyMap<string, [Op, number][]>,
  makers: ReadonlyMap<string, Op[]>,
  roles: Roles<Op>,
  inputs: ReadonlySet<string>,
) {
  const isFront = (value: string) => comesFrom(value, inputs, makers, roles.isLinear);
  const isSpectrum = (value: string) =>
    comesFrom(
      value,
      inputs,
      makers,
      (operation) => roles.isLinear(operation) || roles.isMagnitude(operation),
    );
  const isFilter = (operation: Op, data: string | undefined): boolean => {
    const output = operation.outputs[0];
    const hasBias = operation.inputs.slice(2).some((input) => input !== "" && input !== data);
    if (!data || !output || hasBias || !roles.isLinear(operation)) return false;
    if (isFront(data)) return goesTo(output, users, roles.isMagnitude, roles.isCarried);
    const isPassed = (next: Op) => roles.isCarried(next) || roles.isClipped(next);
    return isSpectrum(data) && goesTo(output, users, roles.isLogarithm, isPassed);
  };
  return { isFilter };
}

/** Whether a value comes from an input, by operations that all pass. */
function comesFrom<Op extends Operation>(
  value: string,
  inputs: ReadonlySet<string>,
  makers: ReadonlyMap<string, Op[]>,
  isPassed: (operation: Op) => boolean,
): boolean {
  const seen = new Set<string>();
  const waiting = [value];
  let isFound = false;
  for (let at = waiting.pop(); at !== undefined && seen.size < MAX_STEPS; at = waiting.pop()) {
    if (seen.has(at) || at === "") continue;
    seen.add(at);
    if (inputs.has(at)) {
      isFound = true;
      continue;
    }
    for (const maker of makers.get(at) ?? []) {
      if (!isPassed(maker)) return false;
      waiting.push(...maker.inputs);
    }
  }
  return isFound;
}

/** Whether an operation of a kind takes a value, with only operations that pass before it. */
function goesTo<Op extends Operation>(
  value: string,
  users: ReadonlyMap<string, [Op, number][]>,
  isEnd: (operation: Op) => boolean,
  isPassed: (operation: Op) => boolean,
): boolean {
  const seen = new Set<string>();
  const waiting = [value];
  for (let at = waiting.pop(); at !== undefined && seen.size < MAX_STEPS; at = waiting.pop()) {
    if (seen.has(at)) continue;
    seen.add(at);
    for (const [operation] of users.get(at) ?? []) {
      if (isEnd(operation)) return true;
      if (isPassed(operation)) waiting.push(...operation.outputs);
    }
  }
  return false;
}
