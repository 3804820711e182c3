/** Training by a chat template: rollouts that its template splits, their trees, and the trainer's properties on them. */
import type { Params, TransformerConfig } from "@pact/nn";
import { configFromJson, initParams } from "@pact/nn";
import { key } from "@pact/tensor";
import { beforeAll, describe, expect, it } from "vitest";
import { type TrainConfig, trainConfig } from "../../packages/pact/src/config.ts";
import { chatDialect } from "../../packages/pact/src/dialect-chat.ts";
import { agrees, bothContexts, explainStep } from "../../packages/pact/src/explain.ts";
import { unpackTrees } from "../../packages/pact/src/pack.ts";
import { trainedRollout } from "../../packages/pact/src/records.ts";
import { isSampled, roles } from "../../packages/pact/src/roles.ts";
import {
  collectRollouts,
  type RolloutOptions,
  type RolloutPolicy,
  rolloutPrompt,
  withoutTrace,
} from "../../packages/pact/src/rollout.ts";
import { nullSink, type RolloutRecord, type StepMetrics } from "../../packages/pact/src/run-sink.ts";
import { Trainer } from "../../packages/pact/src/trainer.ts";
import { buildTrees, lossTerm, promptOnlyTrees } from "../../packages/pact/src/trees.ts";
import { type ChatFamily, chatFamilies, family, tokenizerOf } from "./chat-folders.ts";
import { cpuDevice } from "./device.ts";
import { task, trace } from "./tasks.ts";

const thought = "<think>\nI think.\n</think>\n\n";
const tagged = '<tool_call>\n{"name": "find_mayor", "arguments": {"town": "Bavo"}}\n</tool_call>';

function speak(own: ChatFamily, template = own.template) {
  const tokenizer = tokenizerOf(own);
  const dialect = chatDialect(tokenizer, template);
  const names = tokenizer.controlTokens.map((name) => name.replace(/[|]/g, "\\|"));
  const idsOf = (text: string): number[] =>
    text
      .split(new RegExp(`(${names.join("|")})`))
      .flatMap((piece, index) => (index % 2 === 0 ? tokenizer.encode(piece) : [tokenizer.controlId(piece)]));
  return { tokenizer, dialect, idsOf, stop: own.stop };
}

interface Session {
  readonly prompts: readonly (readonly number[])[];
  readonly capacities: readonly number[];
  readonly shown: number[][];
}

/** A policy that says a script in each row token by token; rows that are split say the rest of theirs in the next session. */
function saying(scripts: readonly (readonly number[])[]): RolloutPolicy & { readonly sessions: Session[] } {
  const said = scripts.map(() => 0);
  const sessions: Session[] = [];
  let waiting: number[] = [];
  return {
    sessions,
    start(prompts, rows) {
      const isFirst = sessions.length === 0;
      const who = isFirst ? rows.map((_, row) => row % scripts.length) : waiting;
      waiting = [];
      const session: Session = {
        prompts,
        capacities: rows.map(({ capacity }) => capacity),
        shown: rows.map(({ prompt }) => [...prompts[prompt]]),
      };
      sessions.push(session);
      const live = new Set(rows.keys());
      const say = async (listed: readonly number[]) => ({
        ids: listed.map((row) => scripts[who[row]][said[who[row]]++] ?? 0),
        logProbs: listed.map(() => -0.5),
      });
      return {
        first: () => say([...rows.keys()]),
        next: (entries) => {
          for (const { row, ids } of entries) session.shown[row].push(...ids);
          for (const row of [...live]) if (!entries.some((entry) => entry.row === row)) live.delete(row);
          return say(entries.map(({ row }) => row));
        },
        // Those whose script is not over go on in the next session, in order.
        dispose: () => {
          waiting = who.filter((script) => said[script] < scripts[script].length);
        },
      };
    },
  };
}

const llama = speak(family("llama"));
const limits = { maxTurns: 4, maxTurnTokens: 200, maxRolloutTokens: 600, temperature: 1, key: key(1) };
const roll = (own: ReturnType<typeof speak>, policy: RolloutPolicy, given: Partial<RolloutOptions> = {}) =>
  collectRollouts([rolloutPrompt(own.dialect, withoutTrace(task), 0)], {
    dialect: own.dialect,
    policy,
    rolloutsPerPrompt: 1,
    ...limits,
    ...given,
  });

/** Thinks before its call, which Llama's template drops; then answers. */
const dropped = (own: ReturnType<typeof speak>) =>
  own.idsOf(`${thought}${tagged}${own.stop}<think>ok</think>Mira${own.stop}`);

describe("a rollout that its template splits", () => {
  it("goes on behind the new prompt, in a session of its own", async () => {
    const policy = saying([dropped(llama)]);
    const [rollout] = await roll(llama, policy);
    const x = llama.dialect.prompt(task).ids;
    expect(rollout.stop).toBe("answer");
    expect(rollout.turns.map(({ answer }) => answer)).toEqual([null, "Mira"]);
    expect(rollout.splits).toHaveLength(1);
    const [{ start, end, kind, reason }] = rollout.splits!;
    expect([kind, reason]).toEqual(["dropped", "the template leaves out the reasoning of message 1"]);
    const reprompt = rollout.ids.slice(start, end);
    expect(reprompt.slice(0, x.length)).toEqual(x);
    expect(policy.sessions.map(({ prompts }) => prompts)).toEqual([[x], [reprompt]]);
    // The environment's tokens and the new prompt are nobody's; what was sampled is as it was.
    const said = rollout.ids.filter((_, index) => isSampled(rollout.roles[index]));
    expect(said).toEqual(dropped(llama));
    expect(rollout.turnOf.slice(start, end).every((turn) => turn === -1)).toBe(true);
    expect(rollout.roles.slice(start, end).filter(isSampled)).toEqual([]);
    expect(rollout.turns.map((turn) => [turn.start, turn.end])).toEqual([
      [0, start],
      [end, rollout.ids.length],
    ]);
    // Its limit counts what it stands for: the turn that was sampled, not the prompt that is written again.
    expect(policy.sessions[1].capacities).toEqual([600 - Math.max(start, reprompt.length - x.length)]);
    expect(rollout.ids.map((_, index) => roles[rollout.roles[index]])).toContain("observation");
  });

  it("ends at its limit before a new prompt that would pass it, and within it", async () => {
    const [cut] = await roll(llama, saying([dropped(llama)]), { maxRolloutTokens: 60 });
    expect([cut.stop, cut.splits]).toEqual(["rollout_tokens", undefined]);
    const long = [...dropped(llama).slice(0, -1), ...new Array<number>(500).fill(97)];
    const policy = saying([long]);
    const [ended] = await roll(llama, policy, { maxRolloutTokens: 160, maxTurnTokens: 1000 });
    expect(ended.stop).toBe("rollout_tokens");
    const { end } = ended.splits![0];
    expect(ended.ids.length - end).toBe(policy.sessions[1].capacities[0]);
  });

  it("does not disturb its neighbours", async () => {
    const straight = llama.idsOf(
      `{"name": "find_mayor", "parameters": {"town": "Bavo"}}${llama.stop}Mira${llama.stop}`,
    );
    const policy = saying([straight, dropped(llama), straight, dropped(llama)]);
    const rollouts = await roll(llama, policy, { rolloutsPerPrompt: 4 });
    expect(rollouts.map(({ splits }) => splits?.length ?? 0)).toEqual([0, 1, 0, 1]);
    expect(policy.sessions.map(({ prompts }) => prompts.length)).toEqual([1, 2]);
    expect(rollouts.map(({ stop }) => stop)).toEqual(["answer", "answer", "answer", "answer"]);
  });

  it("ends where the template refuses what was sampled", async () => {
    const own = family("llama");
    // Texts are marked, so a template can not compare them; how many messages there are it can see.
    const refusing = own.template.replace(
      "message.tool_calls | length != 1",
      "message.tool_calls | length != 1 or messages | length > 3",
    );
    expect(refusing).not.toBe(own.template);
    const picky = speak(own, refusing);
    const bare = '{"name": "find_mayor", "parameters": {"town": "Bavo"}}';
    const [rollout] = await roll(
      picky,
      saying([picky.idsOf(`${bare}${own.stop}${bare}${own.stop}Mira${own.stop}`)]),
    );
    expect(rollout.stop).toBe("environment");
    expect(rollout.turns).toHaveLength(2);
  });
});

const settings = (given: Partial<TrainConfig> = {}) =>
  trainConfig({ maxContextTokens: 4000, maxTurnTokens: 200, maxRolloutTokens: 600, ...given });

describe("trees of split rollouts", () => {
  it("train each part behind the very tokens that it was sampled behind", async () => {
    const policy = saying([dropped(llama)]);
    const [rollout] = await roll(llama, policy);
    const prompt = { task, rollouts: [rollout], advantages: [[2, 3]], anchored: true };
    const sequences = (trees: ReturnType<typeof buildTrees>) =>
      unpackTrees(trees).map(({ prefix: { ids, scored } }) => ({
        ids: [...ids],
        scored: scored.map(({ position }) => ids[position]),
      }));
    const shown = policy.sessions.map((session) => session.shown[0]);
    const trees = buildTrees(llama.dialect, [prompt], 0, settings());
    expect(trees.map(({ branches }) => branches.length)).toEqual([2]);
    // A session is shown all but the last token.
    expect(sequences(trees).map(({ ids }) => ids.slice(0, -1))).toEqual(shown);
    expect(sequences(trees).flatMap(({ scored }) => scored)).toEqual(dropped(llama));
    const advantages = trees[0].branches.map(({ scored }) => [
      ...new Set(scored.map((token) => token.advantage)),
    ]);
    expect(advantages).toEqual([[2], [3]]);
    const weight = trees[0].branches.flatMap(({ scored }) => scored.map((token) => token.policyWeight));
    expect(weight.reduce((sum, own) => sum + own, 0)).toBeCloseTo(1, 12);
    expect(sequences(promptOnlyTrees(llama.dialect, [{ ...prompt, anchored: false }]))).toEqual(
      sequences(trees),
    );
    // Behind the trace: the same tokens, with h* and the delimiter between x and the rest.
    const x = llama.dialect.prompt(task).ids;
    const context = llama.dialect.context(task, trace.turns, "again");
    const [traced] = buildTrees(llama.dialect, [{ ...prompt, anchored: false }], 0, settings());
    expect(traced.prefix.ids).toEqual(context);
    const behind = traced.branches.map(({ ids }) => [...x, ...ids].slice(0, -1));
    expect(behind).toEqual(shown);
    // What the record keeps gives the same trees.
    const again = trainedRollout(
      { ids: rollout.ids, roles: rollout.roles.join("") },
      JSON.parse(JSON.stringify(rollout.splits)),
    );
    const positions = (of: typeof trees) =>
      of.map(({ branches }) =>
        branches.map(({ ids, offset, scored }) => [ids, offset, scored.map((s) => s.position)]),
      );
    expect(positions(buildTrees(llama.dialect, [{ ...prompt, rollouts: [again] }], 0, settings()))).toEqual(
      positions(trees),
    );
  });

  it("are their own where a new prompt does not begin with x", async () => {
    const own = family("qwen3");
    const template = own.template.replace(
      "{%- set ns = namespace(last=-1) %}",
      "{{- messages | length }}{%- set ns = namespace(last=-1) %}",
    );
    // Expert traces need a template that keeps the past; without one there is none to be rewritten.
    const numbered = speak(own, template);
    const policy = saying([numbered.idsOf(`${tagged}${own.stop}Mira${own.stop}`)]);
    const [rollout] = await roll(numbered, policy);
    expect(rollout.splits).toMatchObject([{ kind: "history" }]);
    const free = { ...task, trace: undefined };
    const prompt = { task: free, rollouts: [rollout], advantages: [[1, 1]], anchored: false };
    const trees = buildTrees(numbered.dialect, [prompt], 0, settings());
    expect(trees.map(({ prefix, branches }) => [prefix.ids.length, branches.length])).toEqual([
      [numbered.dialect.prompt(task).ids.length, 1],
      [rollout.splits![0].end - rollout.splits![0].start, 1],
    ]);
    expect(trees.map(({ prefix, branches }) => [...prefix.ids, ...branches[0].ids].slice(0, -1))).toEqual(
      policy.sessions.map((session) => session.shown[0]),
    );
    expect(
      trees.every(({ branches }) => branches[0].scored.every(({ term }) => term === lossTerm.traced)),
    ).toBe(true);
  });
});

let models: Map<string, { config: TransformerConfig; params: Params }>;
beforeAll(async () => {
  const device = await cpuDevice();
  models = new Map(
    chatFamilies.map((own) => {
      const config = configFromJson({
        model_type: own.name,
        vocab_size: tokenizerOf(own).vocabSize + 5,
        hidden_size: 16,
        intermediate_size: 16,
        num_hidden_layers: 1,
        num_attention_heads: 2,
        num_key_value_heads: 1,
        max_position_embeddings: 4000,
        ...own.json,
      });
      return [own.name, { config, params: initParams(config, key(3), { device, std: 0.2 }) }];
    }),
  );
});

describe.each(chatFamilies)("training in the manner of $name", (own) => {
  const spoken = speak(own);
  const scripts = [
    dropped(spoken),
    spoken.idsOf(`${tagged}${tagged}${own.stop}<answer>Mira</answer>${own.stop}`),
    spoken.idsOf(`Lo${own.stop}`),
    spoken.idsOf(
      `<think>\nA long thought.\n</think>\n\n${tagged}${own.stop}${tagged}${own.stop}Mira${own.stop}`,
    ),
  ];

  async function train(given: Partial<TrainConfig>) {
    const { config, params } = models.get(own.name)!;
    const lines: StepMetrics[] = [];
    const records: RolloutRecord[] = [];
    const short = { ...trace, turns: [trace.turns[1]] };
    const tasks = ["a", "b"].map((id) => ({ ...task, trace: short, id }));
    const used = settings({
      steps: 1,
      promptsPerStep: 2,
      rolloutsPerPrompt: 2,
      klCoefficient: 0.01,
      learningRate: 0.01,
      seed: 2,
      ...given,
    });
    const trainer = new Trainer({
      config: used,
      model: config,
      params,
      dialect: spoken.dialect,
      tasks,
      policy: () => saying(scripts),
      sink: {
        ...nullSink,
        metrics: async (line) => void lines.push(line),
        rollout: async (record) => void records.push(JSON.parse(JSON.stringify(record))),
      },
    });
    for await (const _ of trainer.steps());
    trainer.dispose();
    const firsts = [0, 2].filter((first) => first < records.length);
    const prompts = firsts.map((first) => {
      const group = records.slice(first, first + 2);
      return {
        task: tasks.find(({ id }) => id === group[0].taskId)!,
        rollouts: group.map(({ trained, splits }) => trainedRollout(trained!, splits)),
        advantages: group.map(({ advantages }) => advantages),
        anchored: group[0].trained!.anchored,
      };
    });
    const model = { config, params };
    const inputs = { config: used, step: 0, dialect: spoken.dialect, model, reference: model, prompts };
    return { values: lines[0].values, records, inputs };
  }

  it("says which rollouts were split", async () => {
    const { records } = await train({});
    const kinds = records.map(({ splits }) => splits?.map(({ kind }) => kind) ?? []);
    expect(kinds).toEqual(own.name === "llama" ? [["dropped"], [], [], ["dropped"]] : [[], [], [], []]);
    expect(records.map(({ stop }) => stop)).toEqual(["answer", "answer", "answer", "answer"]);
  });

  const settingsOf: readonly [string, Partial<TrainConfig>][] = [
    ["the trace alone", { anchor: "none" }],
    ["SFT", { method: "sft", klCoefficient: 0 }],
    ["both contexts", { anchor: "mix", anchorWeight: 0.5 }],
    ["the trace inside the question", { anchor: "none", traceRendering: "reference" }],
    ["a delimiter that asks the question", { anchor: "none", traceDelimiter: "question" }],
    ["parts of the trace", { anchor: "none", traceComponents: ["calls", "observations"] }],
    ["CHORD", { method: "chord" }],
    // Parts of a split rollout may come into different micro-batches.
    ["a ratio to the prompt alone", { anchor: "none", ratioDenominator: "behaviour" }],
    ["a truncated ratio", { anchor: "none", ratioDenominator: "traceTruncated" }],
  ];
  // What depends on the template is the same everywhere; the whole list is for the one that splits.
  it.each(own.name === "llama" ? settingsOf : settingsOf.slice(0, 2))(
    "packs without changing anything: %s",
    async (_, given) => {
      const [packed, alone] = await Promise.all([true, false].map((pack) => train({ ...given, pack })));
      // In f32 sums in another order differ in the seventh digit.
      for (const name of ["loss/total", "gradient/norm"])
        expect(alone.values[name]).toBeCloseTo(packed.values[name]!, 5);
      expect(packed.values["gradient/norm"]).toBeGreaterThan(0);
      expect(alone.values["tokens/trained"]).toBe(packed.values["tokens/trained"]);
      const [more, fewer] = [alone, packed].map(({ values }) => values["tokens/forward"]!);
      if (given.method === "sft") expect(more).toBe(fewer);
      else expect(more).toBeGreaterThan(fewer);
    },
  );

  it("starts with every ratio at 1, and pact explain adds up to the loss", async () => {
    const { values, inputs } = await train({ anchorProbability: 0.5 });
    expect([values["policy/ratio_mean"], values["policy/ratio_max"]]).toEqual([1, 1]);
    const explained = await explainStep(inputs);
    expect(agrees(explained, values["loss/total"]!)).toBe(true);
    const sampled = explained.tokens.filter(({ rollout }) => rollout >= 0);
    const rollouts = inputs.prompts.flatMap((prompt) => prompt.rollouts);
    for (const { rollout, position, id } of sampled) {
      expect(rollouts[rollout].ids[position]).toBe(id);
      expect(isSampled(rollouts[rollout].roles[position])).toBe(true);
    }
    const contexts = await bothContexts({ ...inputs, prompts: [inputs.prompts[0]] });
    expect(contexts.map((of) => of.length)).toEqual(
      inputs.prompts[0].rollouts.map((rollout) => rollout.roles.filter(isSampled).length),
    );
    expect(
      contexts.flat().every(({ trace: traced, prompt }) => traced !== undefined && traced !== prompt),
    ).toBe(true);
  });
});
