import { EnvironmentError, environmentIds, requireEnvironmentId } from "@pact/tools-sim";
import { expect, it } from "vitest";

it("accepts what is built and refuses the rest, naming what exists", () => {
  const accepted = environmentIds.filter((id) => {
    try {
      return requireEnvironmentId(id) === id;
    } catch (error) {
      expect(error).toBeInstanceOf(EnvironmentError);
      return false;
    }
  });
  expect(accepted).toEqual(["ftrl-like", "toolhop-like", "bfcl-like", "ftrl", "bfcl"]);
  expect(() => requireEnvironmentId("toolhop")).toThrowErrorMatchingInlineSnapshot(
    `[EnvironmentError: environment "toolhop" is not built yet; there are ftrl-like, toolhop-like, bfcl-like, ftrl, bfcl]`,
  );
  expect(() => requireEnvironmentId("__proto__")).toThrowErrorMatchingInlineSnapshot(
    `[EnvironmentError: environment "__proto__" is unknown; there are ftrl-like, toolhop-like, bfcl-like, ftrl, bfcl]`,
  );
});
