/**
 * Checks of public arguments: `TypeError` for a wrong type, `RangeError` for a wrong value, each message naming the
 * argument, what was expected and what came. `checkRows("rows", new Float32Array(7), 4)` throws
 * "rows: expected a whole number of rows of 4 values, got 7 values".
 */

function describe(value: unknown): string {
  if (ArrayBuffer.isView(value) || Array.isArray(value)) return value.constructor.name;
  return value === null
    ? "null"
    : typeof value === "object"
      ? "an object"
      : `${typeof value} ${String(value)}`;
}

/** A positive safe integer. */
export function checkPositive(name: string, value: number): void {
  if (typeof value !== "number") throw new TypeError(`${name}: expected a number, got ${describe(value)}`);
  if (!Number.isSafeInteger(value) || value < 1) {
    throw new RangeError(`${name}: expected a positive integer, got ${value}`);
  }
}

/** A Float32Array, of exactly `length` values where given. */
export function checkFloat32(name: string, value: Float32Array, length?: number): void {
  if (!(value instanceof Float32Array)) {
    throw new TypeError(`${name}: expected a Float32Array, got ${describe(value)}`);
  }
  if (length !== undefined && value.length !== length) {
    throw new RangeError(`${name}: expected ${length} values, got ${value.length}`);
  }
}

/** A Float32Array of whole rows of `size` values; returns their number. */
export function checkRows(name: string, value: Float32Array, size: number): number {
  checkFloat32(name, value);
  if (value.length % size !== 0) {
    throw new RangeError(
      `${name}: expected a whole number of rows of ${size} values, got ${value.length} values`,
    );
  }
  return value.length / size;
}

/** An array (plain or typed) of exactly `length` finite numbers. */
export function checkNumbers(name: string, value: ArrayLike<number>, length: number): void {
  if (!Array.isArray(value) && (!ArrayBuffer.isView(value) || !("length" in value))) {
    throw new TypeError(`${name}: expected an array of numbers, got ${describe(value)}`);
  }
  if (value.length !== length)
    throw new RangeError(`${name}: expected ${length} values, got ${value.length}`);
  for (let i = 0; i < length; i++) {
    if (!Number.isFinite(value[i]))
      throw new RangeError(`${name}: expected finite numbers, got ${value[i]} at ${i}`);
  }
}

/** A size × size matrix of finite numbers, row-major, symmetric to a millionth of its largest entry. */
export function checkSymmetric(name: string, matrix: ArrayLike<number>, size: number): void {
  checkNumbers(name, matrix, size * size);
  let largest = 0;
  for (let i = 0; i < matrix.length; i++) largest = Math.max(largest, Math.abs(matrix[i]));
  for (let i = 0; i < size; i++) {
    for (let j = 0; j < i; j++) {
      const lower = matrix[i * size + j];
      const upper = matrix[j * size + i];
      if (Math.abs(lower - upper) > 1e-6 * largest) {
        throw new RangeError(
          `${name}: expected a symmetric matrix, got ${lower} at (${i}, ${j}) and ${upper} at (${j}, ${i})`,
        );
      }
    }
  }
}
