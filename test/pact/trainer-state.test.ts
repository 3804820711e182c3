/** The state of a run survives writing and reading, and what is no state is refused by name. */
import { writeSafetensors } from "@pact/nn";
import { describe, expect, it } from "vitest";
import { CheckpointError } from "../../packages/pact/src/errors.ts";
import { decodeState, encodeState } from "../../packages/pact/src/trainer-state.ts";

const state = {
  step: 7,
  optimizerSteps: 14,
  sampledTokens: 1234,
  trainedTokens: 99,
  forwardTokens: 5,
  m: Float32Array.of(0.1, -2, 0),
  v: Float32Array.of(1e-30, 3, 0),
};

describe("the trainer's state", () => {
  it("comes back as it was, in f32 and f64", () => {
    expect(decodeState(encodeState(state))).toEqual(state);
    const wide = { ...state, m: Float64Array.of(0.1), v: Float64Array.of(Math.PI) };
    expect(decodeState(encodeState(wide))).toEqual(wide);
    const scaled = { ...state, lossScale: { scale: 2 ** 20, goodUpdates: 17 } };
    expect(decodeState(encodeState(scaled))).toEqual(scaled);
  });

  it("is the same bytes every time", () => {
    expect(encodeState(state)).toEqual(encodeState({ ...state }));
  });

  it("of another format, or with counters or moments that are none, is refused", () => {
    const moment = { dtype: "F32", shape: [1], data: Float32Array.of(1) } as const;
    const bytes = (names: string[], metadata: Record<string, string>) =>
      writeSafetensors(
        names.map((name) => [name, moment]),
        metadata,
      );
    const counters = {
      step: "1",
      optimizerSteps: "1",
      sampledTokens: "0",
      trainedTokens: "0",
      forwardTokens: "0",
    };
    const problem = (names: string[], metadata: Record<string, string>) => {
      try {
        decodeState(bytes(names, metadata));
      } catch (error) {
        expect(error).toBeInstanceOf(CheckpointError);
        return (error as Error).message;
      }
      return "none";
    };
    expect(problem(["m", "v"], { formatVersion: "2", ...counters })).toContain('format version "2"');
    expect(problem(["m"], { formatVersion: "1", ...counters })).toContain('no moment "v"');
    expect(problem(["m", "v"], { formatVersion: "1", ...counters, step: "-1" })).toContain(
      'counter step is "-1"',
    );
    for (const lossScale of ["0", "3", "33554432"])
      expect(
        problem(["m", "v"], { formatVersion: "1", ...counters, lossScale, lossScaleUpdates: "0" }),
      ).toContain(`lossScale is ${lossScale}, no power of two`);
  });
});
