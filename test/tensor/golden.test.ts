/** The golden operations (numbers computed by PyTorch, test/golden/README.md) in f64 on the cpu device. */
import { expect, test } from "vitest";
import { checkOps } from "../../scripts/golden/ops.ts";
import { reference } from "../helpers/properties.ts";

const folder = new URL("../golden", import.meta.url).pathname;

test("every golden operation agrees, values and gradients", async () => {
  const outcomes = await checkOps({ device: reference, dtype: "f64" }, folder);
  expect(outcomes.filter((o) => o.status !== "passed")).toEqual([]);
  expect(outcomes.length).toBe(99);
});
