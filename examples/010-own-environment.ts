// An environment of your own to train in: tools that are functions, and tasks with a question, goldens and an expert trace. A small
// transformer with random weights learns to use this one. About 5 s on the cpu device.
//   node --import tsx --conditions=source examples/010-own-environment.ts
import { initParams, trainBpe } from "@pact/nn";
import { controlTokens, evaluate, nativeDialect, nullSink, Trainer, trainConfig } from "@pact/pact";
import { init, key } from "@pact/tensor";
import {
  createEnvironment,
  executeTool,
  type Task,
  type ToolCall,
  tool,
  toolCallJson,
  toolDefinitions,
} from "@pact/tools-sim";

const rooms = ["attic", "cellar", "hall", "study"];
const lamp = tool({
  description: "Switches the lamp of a room.",
  inputSchema: { type: "object", properties: { room: { type: "string" } }, required: ["room"] },
  execute({ room }) {
    if (!rooms.includes(String(room))) throw new Error("no such room"); // an observation, not an exception
    return `${room} on`;
  },
});
/** What executes the calls of an episode; tools with a state would be made here. */
const createRunner = () => (call: ToolCall) => executeTool({ lamp }, call);
const wordings = ["Lamp in the ", "Light for the ", "It is dark in the "];

/** The task of one room in one wording: what is asked, what a solution has seen, and how an expert does it. */
function lampTask(room: string, wording: string): Task {
  const call: ToolCall = { type: "function", function: { name: "lamp", arguments: { room } } };
  const output = `${room} on`;
  const question = `${wording}${room}.`;
  return {
    id: question,
    category: "lamps",
    question,
    messages: [{ role: "user", content: question }],
    tools: toolDefinitions({ lamp }),
    unsolved: { lamp: [output] },
    answer: output,
    setup: { kind: "ftrl", calls: [] }, // nothing recorded: createRunner answers
    trace: {
      turns: [
        { chunks: [{ type: "tool_selection", text: `The ${room}.` }], calls: [call], observations: [output] },
      ],
      final: { chunks: [{ type: "final_answer_grounding", text: "Done." }], answer: output },
    },
  };
}
const all = wordings.flatMap((wording, w) =>
  rooms.map((room, r) => ({ task: lampTask(room, wording), held: r === w })),
);
const tasks = all.filter(({ held }) => !held).map(({ task }) => task);
const heldOut = all.filter(({ held }) => held).map(({ task }) => task);

// The expert must solve its own tasks in the very environment that rollouts run in.
for (const task of [...tasks, ...heldOut]) {
  const environment = createEnvironment(task, { createRunner });
  environment.reset();
  for (const { calls } of task.trace!.turns) {
    await environment.step(calls.map((call) => `<tool_call>${toolCallJson(call)}</tool_call>`).join(""));
  }
  await environment.step(`<answer>${task.trace!.final.answer}</answer>`);
  if (environment.score().solveF1 !== 1) throw new Error(`the expert does not solve ${task.id}`);
  await environment.close();
}

await init({ device: "cpu" });
const texts = tasks.map(
  ({ question, trace }) => question + trace!.turns.map(({ calls }) => calls.map(toolCallJson)).join(),
);
const codec = trainBpe([...texts, ...texts], { vocabSize: 340, controlTokens });
const model = {
  modelType: "qwen3",
  vocabSize: codec.vocabSize,
  hiddenSize: 32,
  numLayers: 1,
  numHeads: 2,
  numKvHeads: 2,
  headSize: 16,
  intermediateSize: 64,
  maxPositions: 512,
  normEps: 1e-6,
  ropeTheta: 10_000,
  tieWordEmbeddings: true,
} as const;
const params = initParams(model, key(1), { std: 0.15 });
const config = trainConfig({
  method: "sft",
  steps: 60,
  promptsPerStep: 5,
  learningRate: 1e-2,
  maxRolloutTokens: 100,
});
const dialect = nativeDialect(codec);
const trainer = new Trainer({ config, model, params, dialect, tasks, sink: nullSink, createRunner });
/** Solve-F1 on the held-out tasks, greedy. */
const score = async (step: number) => {
  const result = await evaluate({
    ...config,
    model,
    params: trainer.params,
    dialect,
    tasks: heldOut,
    step,
    sink: nullSink,
    createRunner,
  });
  return result.greedy.solveF1;
};
const before = await score(0);
for await (const event of trainer.steps()) {
  if (event.kind !== "step" || event.step % 15 > 0) continue;
  console.log(`step ${event.step}: ${event.metrics.values["loss/total"]?.toFixed(3)} nats per token`);
}
const after = await score(config.steps);
trainer.dispose();
console.log(
  `Solve-F1 on ${heldOut.length} held-out wordings of known rooms: ${before.toFixed(2)} → ${after.toFixed(2)}`,
);
if (!(after > 0.6)) throw new Error(`Solve-F1 is ${after}, expected above 0.6`);
