/** The golden operations (numbers computed by PyTorch, test/golden/README.md) in f64 on the cpu device. */
import { expect, test } from "vitest";
import { checkOps } from "../../scripts/golden/ops.ts";
import { reference } from "../helpers/properties.ts";

const folder = new URL("../golden", import.meta.url).pathname;

test("every golden operation agrees, values and gradients", async () => {
  const outcomes = await checkOps({ device: reference, dtype: "f64" }, folder);
  expect(outcomes.filter((o) => o.status === "failed")).toEqual([]);
  const unsupported = outcomes.filter((o) => o.status === "unsupported").map((o) => o.name);
  expect(unsupported).toEqual(["ops/cumsum", "ops/topk"]); // not part of the engine yet
  expect(outcomes.length).toBe(99);
});
