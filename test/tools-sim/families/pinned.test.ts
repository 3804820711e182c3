/** What `ftrl-like` generates at its default dials is pinned: the shipped base policy and its recorded figures depend on it. */
import { createHash } from "node:crypto";
import { ftrlLike, type Split } from "@pact/tools-sim";
import { expect, it } from "vitest";

it.each<[number, Split, string]>([
  [1, "train", "1ada594f5ef703d1"],
  [1, "heldout", "11a2b13e97a5d550"],
  [7, "train", "013e210a4b77134b"],
  [7, "heldout", "6d9cba848acdb1c8"],
  [1001, "train", "5f0ed66ebda9d4db"],
  [1001, "heldout", "2b8a10b65de9ea4f"],
])("generates the same default tasks for ever: seed %i, %s", (seed, split, expected) => {
  const tasks = ftrlLike.generate({ seed, split, count: 64 });
  const digest = createHash("sha256").update(JSON.stringify(tasks)).digest("hex");
  expect(digest.slice(0, 16)).toBe(expected);
});
