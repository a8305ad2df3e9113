/**
 * Operations that move a tensor's numbers without changing them: which axis of the tensor an axis of the result is, so that output
 * channels are found behind a transpose or a reshape.
 *
 *     permuted([1, 0]).back(0, [64, 10]); // 1
 */
import type { KnownShape, Role } from "./use.js";

type Moved = Extract<Role, { kind: "moved" }>;

/** Axes as they were. */
export const unmoved: Moved = {
  kind: "moved",
  outputs: [0],
  back: (axis) => axis,
  forward: (shape) => shape,
};

/** Several tensors one after another along an axis, which is longer then. */
export const concatenated: Moved = {
  kind: "moved",
  outputs: [0],
  back: (axis) => axis,
  forward: () => undefined,
};

/** @param order the axes in their new order; undefined if it is not known */
export function permuted(order: readonly number[] | undefined): Moved {
  return {
    ...unmoved,
    back: (axis) => order?.[axis],
    forward: (shape) => shape && order?.map((axis) => shape[axis]),
  };
}

/** @param axes new axes of extent 1; undefined if they are not known */
export function inserted(axes: readonly number[] | undefined): Moved {
  const rankOf = (shape: readonly number[]) => shape.length + (axes?.length ?? 0);
  const isNew = (axis: number, rank: number) => axes?.some((each) => (each + rank) % rank === axis);
  return {
    ...unmoved,
    back: (axis, shape) => {
      if (!axes || !shape) return undefined;
      const kept = Array.from({ length: rankOf(shape) }, (_, i) => i).filter((i) => !isNew(i, rankOf(shape)));
      const found = kept.indexOf(axis);
      return found < 0 ? undefined : found;
    },
    forward: (shape) => {
      if (!axes || !shape) return undefined;
      let next = 0;
      return Array.from({ length: rankOf(shape) }, (_, i) => (isNew(i, rankOf(shape)) ? 1 : shape[next++]));
    },
  };
}

/** @param axes axes of extent 1 that go; all of them if it is undefined */
export function withoutOnes(axes: readonly number[] | undefined): Moved {
  const kept = (shape: readonly number[]) =>
    shape
      .map((_, i) => i)
      .filter((i) =>
        axes ? !axes.some((each) => (each + shape.length) % shape.length === i) : shape[i] !== 1,
      );
  return {
    ...unmoved,
    back: (axis, shape) => shape && kept(shape)[axis],
    forward: (shape) => shape && kept(shape).map((i) => shape[i]),
  };
}

/** @param shapeOf the new shape, if it is known */
export function reshaped(shapeOf: (shape: readonly number[]) => readonly number[] | undefined): Moved {
  return {
    ...unmoved,
    back: (axis, shape) => {
      const after = shape && shapeOf(shape);
      if (!shape || !after) return undefined;
      // The axis with the same stride, or else the one that it is a part of.
      const wanted = stride(after, axis);
      const found = shape.findIndex((extent, i) => extent > 1 && stride(shape, i) <= wanted);
      return found < 0 ? undefined : found;
    },
    forward: (shape: KnownShape) => shape && shapeOf(shape),
  };
}

function stride(shape: readonly number[], axis: number): number {
  return shape.slice(axis + 1).reduce((product, extent) => product * extent, 1);
}
