/** Evaluations during training: held-out tasks by category, k rollouts each, sampled and greedy. */
import type { Params, TransformerConfig } from "@pact/nn";
import { beforeAll, describe, expect, it } from "vitest";
import { trainConfig } from "../../packages/pact/src/config.ts";
import { evaluate } from "../../packages/pact/src/evaluate.ts";
import { nullSink, type RolloutRecord } from "../../packages/pact/src/run-sink.ts";
import { testDialect } from "./codec.ts";
import { cpuDevice } from "./device.ts";
import { startModel, shortTasks as tasks } from "./training.ts";

let model: TransformerConfig;
let params: Params;
beforeAll(async () => {
  await cpuDevice();
  ({ model, params } = await startModel());
});

describe("evaluation", () => {
  it("scores held-out tasks by category, sampled and greedy, from a live model", async () => {
    const written: string[] = [];
    const result = await evaluate({
      ...trainConfig({ maxTurnTokens: 6, maxRolloutTokens: 12 }),
      model,
      params,
      dialect: testDialect,
      tasks: [...tasks, { ...tasks[0], id: "m", category: "multi_hop" }],
      step: 0,
      batchSize: 3,
      sink: { ...nullSink, rollout: async (record) => void written.push(record.decoding) },
    });
    expect(Object.keys(result.sampled.categories)).toEqual(["single_hop", "multi_hop"]);
    expect(result.greedy.tasks).toBe(4);
    expect(Object.values(result.sampled.stops).reduce((a, b) => a + b, 0)).toBe(4);
    expect(written.length).toBe(8);
  });

  it("samples k rollouts per task, the first the same for any k and batch, and scores them by task", async () => {
    const run = async (rollouts: number, batchSize: number) => {
      const records: RolloutRecord[] = [];
      const dones: number[] = [];
      const result = await evaluate({
        ...trainConfig({ maxTurnTokens: 6, maxRolloutTokens: 12 }),
        ...{ model, params, dialect: testDialect, tasks, step: 3, rollouts, batchSize },
        sink: { ...nullSink, rollout: async (record) => void records.push(record) },
        onProgress: (done, total) => dones.push(done / total),
      });
      return { result: { ...result, time: undefined }, records, dones };
    };
    const one = await run(1, 128);
    const three = await run(3, 4);
    expect(three.result.sampled).toMatchObject({ attempts: 3, tasks: 3 });
    expect(three.result.sampled.passAtK.map(({ k, tasks: of }) => [k, of])).toEqual([
      [1, 3],
      [2, 3],
      [3, 3],
    ]);
    expect(three.result.greedy).toEqual(one.result.greedy);
    const sampled = three.records.filter(({ decoding }) => decoding === "sampled");
    expect(sampled.map(({ taskId, rollout }) => [taskId, rollout])).toEqual(
      tasks.flatMap(({ id }) => [0, 1, 2].map((rollout) => [id, rollout])),
    );
    const first = (records: readonly RolloutRecord[]) => records.filter(({ rollout }) => rollout === 0);
    expect(first(three.records)).toEqual(one.records);
    expect(three.dones.at(-1)).toBe(1);
    expect((await run(3, 128)).result).toEqual(three.result);
  });
});
