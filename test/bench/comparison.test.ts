/** Engines compared: they take turns, and only what computes the same gets times. */
import { describe, expect, test } from "vitest";
import type { EngineName } from "../../bench/peers/case.ts";
import { type Asked, compared } from "../../bench/peers/comparison.ts";
import type { Reply, Request } from "../../bench/peers/messages.ts";

/** Engines that answer by a table of milliseconds and numbers, noting who was asked what. */
function engines(
  answers: Record<EngineName, { milliseconds: number[]; numbers: number[]; fails?: Request["kind"] }>,
) {
  const asked: string[] = [];
  const engine = (name: EngineName): Asked => {
    const { milliseconds, numbers, fails } = answers[name];
    const left = [...milliseconds];
    return {
      async ask({ kind }): Promise<Reply> {
        asked.push(`${name} ${kind}`);
        if (kind === fails) throw new Error(`${name} can not ${kind}`);
        const milliseconds = kind === "run" ? (left.shift() ?? Number.NaN) : 0;
        if (kind === "run") return { sample: { milliseconds, processorMs: 3 * milliseconds } };
        return kind === "result" ? { numbers } : {};
      },
    };
  };
  return { asked, ours: engine("ours"), jaxjs: engine("jaxjs"), tfjs: engine("tfjs") };
}

const right = [1, 2, 3];

describe("compared", () => {
  test("first runs apart, then rounds in turn, ratios of medians", async () => {
    const given = engines({
      ours: { milliseconds: [500, 10, 30, 20], numbers: right },
      jaxjs: { milliseconds: [2000, 60, 40, 50], numbers: [1.0001, 2, 3] },
      tfjs: { milliseconds: [1000, 10, 10, 10], numbers: right },
    });
    const { ours, jaxjs, timesFaster } = await compared("trainingStep", given, 3);
    expect(ours).toMatchObject({ medianMs: 20, minMs: 10, maxMs: 30, samples: 3, firstSeconds: 0.5 });
    expect(jaxjs).toMatchObject({ medianMs: 50, firstSeconds: 2 });
    expect(timesFaster).toEqual({
      jaxjs: { time: 2.5, processor: 2.5, first: 4, firstProcessor: 4 },
      tfjs: { time: 0.5, processor: 0.5, first: 2, firstProcessor: 2 },
    });
    const runs = given.asked.filter((line) => line.endsWith("run")).map((line) => line.split(" ")[0]);
    expect(runs.join(" ")).toBe(Array(4).fill("ours jaxjs tfjs").join(" "));
  });

  test("other numbers, fewer numbers and failures have no times", async () => {
    const given = engines({
      ours: { milliseconds: [1, 1], numbers: right },
      jaxjs: { milliseconds: [1, 1], numbers: [1, 2, 3.1] },
      tfjs: { milliseconds: [1, 1], numbers: right, fails: "run" },
    });
    const { jaxjs, tfjs, timesFaster } = await compared("matmul512", given, 1);
    expect(jaxjs).toEqual({ error: "computes 3.1 where this engine computes 3 (number 2)" });
    expect(tfjs).toEqual({ error: "tfjs can not run" });
    expect(timesFaster).toEqual({});
    expect(given.asked.filter((line) => line.startsWith("tfjs"))).toEqual(["tfjs prepare", "tfjs run"]);
    const shorter = engines({
      ours: { milliseconds: [1, 1], numbers: right },
      jaxjs: { milliseconds: [1, 1], numbers: [1] },
      tfjs: { milliseconds: [1, 1], numbers: [1, 2, Number.NaN] },
    });
    const other = await compared("matmul512", shorter, 1);
    expect([other.jaxjs, other.tfjs]).toEqual([
      { error: "gives 1 numbers where this engine gives 3" },
      { error: "computes NaN where this engine computes 3 (number 2)" },
    ]);
  });

  test("without this engine there is no comparison, and an interrupt ends one", async () => {
    const answers = { milliseconds: [1, 1], numbers: right };
    const broken = engines({ ours: { ...answers, fails: "count" }, jaxjs: answers, tfjs: answers });
    await expect(compared("softmax", broken, 1)).rejects.toThrow("ours can not count");
    const signal = AbortSignal.abort(new Error("enough"));
    await expect(
      compared("softmax", engines({ ours: answers, jaxjs: answers, tfjs: answers }), 1, signal),
    ).rejects.toThrow("enough");
  });
});
