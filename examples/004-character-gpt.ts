// A character GPT: a one-layer transformer learns a short text by heart, then writes it back from its first letters.
// About 3 s on the cpu device; the word auto after the command takes the best adapter there is.
//   node --import tsx --conditions=source examples/004-character-gpt.ts
import { AdamW, DecodeSession, initParams, type Params, packSequences, tokenLogProbs } from "@pact/nn";
import { argmax, init, key, mean, neg, scope, valueAndGrad } from "@pact/tensor";

const text = `A tool does one thing. An agent picks the tool.
It reads what came back, and picks again.
It stops when the answer is there.
`;
const letters = [...new Set(text)].sort();
const encode = (part: string) => [...part].map((letter) => letters.indexOf(letter));

await init({ device: process.argv[2] === "auto" ? "auto" : "cpu", log: console.log });
const model = {
  modelType: "gpt",
  vocabSize: letters.length,
  hiddenSize: 32,
  numLayers: 1,
  numHeads: 2,
  numKvHeads: 2,
  headSize: 16,
  intermediateSize: 64,
  maxPositions: text.length,
  normEps: 1e-5,
  ropeTheta: 10_000,
  tieWordEmbeddings: true,
} as const;

// The text is one sequence of N tokens; every token but the first is predicted from those before it.
const packed = packSequences([encode(text)]);
const targets = Int32Array.from({ length: text.length - 1 }, (_, index) => index + 1);
const objective = valueAndGrad((params: Params) => neg(mean(tokenLogProbs(model, params, packed, targets))));
const optimizer = new AdamW(initParams(model, key(1)));

let loss = Number.POSITIVE_INFINITY;
for (let step = 0; step < 60; step++) {
  const value = scope(() => {
    const { value, grads } = objective(optimizer.params);
    optimizer.step(grads, 1e-2);
    return value;
  });
  loss = await value.item();
  if (step % 25 === 0) console.log(`step ${step}: ${loss.toFixed(3)} nats per letter`);
  value.dispose();
}
console.log(
  `a uniform guess costs ${Math.log(letters.length).toFixed(3)}, the trained model ${loss.toFixed(3)}`,
);

// Greedy decoding with cached keys and values: one row, one letter a call.
const start = text.slice(0, 6);
const rest = text.length - start.length;
const session = new DecodeSession(model, optimizer.params, {
  prompts: [encode(start)],
  rows: [{ prompt: 0, capacity: rest }],
});
const best = async (logits: () => ReturnType<DecodeSession["prefill"]>) => {
  const index = scope(() => argmax(logits(), -1));
  const [id] = await index.data();
  index.dispose();
  return Number(id);
};
let written = start;
let next = await best(() => session.prefill());
while (written.length < text.length) {
  written += letters[next];
  if (written.length < text.length) next = await best(() => session.append([{ row: 0, ids: [next] }]));
}
session.dispose();
console.log(written);
if (!(loss < 0.1)) throw new Error(`the loss is ${loss}, expected below 0.1`);
if (written !== text) throw new Error("the model did not write the text back");
