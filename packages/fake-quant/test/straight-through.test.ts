import * as tf from "@tensorflow/tfjs-core";
import { describe, expect, it } from "vitest";
import { lsqInitialScale, lsqScale, scaleGradient, stopGradient, straightThrough } from "../src/index.js";
import { onEachBackend } from "./setup.js";

onEachBackend(() => {
  describe("straightThrough", () => {
    it("has the function's value and the identity's gradient", () => {
      const x = tf.tensor1d([0.4, 0.6, 2.5]);
      expect([...straightThrough(tf.round, x).dataSync()]).toEqual([0, 1, 2]);
      const square = (x: tf.Tensor) => tf.square(straightThrough(tf.round, x)); // d/dx = 2 round(x)
      expect([...tf.grad(square)(x).dataSync()]).toEqual([0, 2, 4]);
    });

    it("returns a gradient of its own, not the upstream one under another name", () => {
      const x = tf.tensor1d([0.4, 2.6]);
      const dy = tf.tensor1d([1, 2]);
      tf.grad((x) => straightThrough(tf.round, x))(x, dy).dispose();
      expect([...dy.dataSync()]).toEqual([1, 2]);
    });
  });

  it("stopGradient passes the value and no gradient", () => {
    const x = tf.tensor1d([3, -1]);
    expect([...stopGradient(x).dataSync()]).toEqual([3, -1]);
    const f = (x: tf.Tensor) => tf.mul(x, stopGradient(x)); // d/dx = x, not 2 x
    expect([...tf.grad(f)(x).dataSync()]).toEqual([3, -1]);
  });

  it("scaleGradient passes the value and a multiple of the gradient", () => {
    const x = tf.tensor1d([3, -1]);
    expect([...scaleGradient(x, 0.25).dataSync()]).toEqual([3, -1]);
    expect([
      ...tf
        .grad((x) => scaleGradient(x, 0.25))(x, tf.tensor1d([4, 8]))
        .dataSync(),
    ]).toEqual([1, 2]);
    expect(() => scaleGradient(x, Number.NaN)).toThrow("factor: expected a finite number, got NaN");
  });

  describe("the LSQ formulas", () => {
    const grid = { bits: 4, signed: true };
    const w = [0.5, -0.25, 0.125, -1];

    it("give 0.331456 as the start and 0.188982 as the gradient's factor for w = [.5, -.25, .125, -1] at 4 bits", () => {
      expect(lsqInitialScale(w, grid)).toBeCloseTo(0.331456, 6);
      expect(lsqInitialScale(tf.tensor1d(w), grid)).toBeCloseTo(0.331456, 6);
      const factor = tf.grad((s) => lsqScale(s, w.length, grid))(tf.scalar(1));
      expect(factor.dataSync()[0]).toBeCloseTo(0.188982, 6);
    });

    it("count the levels of an unsigned grid as 2^bits", () => {
      expect(lsqInitialScale([1, 3], { bits: 4 })).toBe(1); // 2 * 2 / sqrt(16)
      const factor = tf.grad((s) => lsqScale(s, 60, { bits: 4 }))(tf.scalar(1));
      expect(factor.dataSync()[0]).toBeCloseTo(1 / 30, 6);
    });

    it("start zeros at scale 1, and reject what has no scale", () => {
      expect(lsqInitialScale([0, 0], grid)).toBe(1);
      expect(() => lsqInitialScale([], grid)).toThrow(RangeError);
      expect(() => lsqScale(tf.scalar(1), 0, grid)).toThrow("size: expected a positive number, got 0");
    });
  });
});
