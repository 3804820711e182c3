import { EnvironmentError, environmentIds, requireEnvironmentId, suiteIds } from "@pact/tools-sim";
import { expect, it } from "vitest";

it("accepts what exists and refuses the rest, naming what exists", () => {
  for (const id of environmentIds) expect(requireEnvironmentId(id)).toBe(id);
  expect(() => requireEnvironmentId("__proto__")).toThrow(EnvironmentError);
  expect(() => requireEnvironmentId("__proto__")).toThrowErrorMatchingInlineSnapshot(
    `[EnvironmentError: environment "__proto__" is unknown; there are ftrl-like, toolhop-like, bfcl-like, ftrl, toolhop, bfcl]`,
  );
});

it("has tasks for every id", () => {
  expect([...suiteIds].sort()).toEqual([...environmentIds].sort());
});
