/** Tensors of two devices in one call: the message shows who is where and how to move one. */
import * as t from "@pact/tensor";
import { expect, test } from "vitest";
import { messageOf, rejectionOf } from "../../helpers/error-message.ts";

const device = await t.createDevice({ device: "cpu" });
const make = (shape: number[], dtype: t.DType = "f32") => t.zeros(shape, { dtype, device });
const other = await t.createDevice({ device: "cpu" });
const [here, there] = [make([2, 3]), t.zeros([2, 3], { device: other })];
const otherIds = t.zeros([2], { dtype: "i32", device: other });

test("operands", () => {
  expect(messageOf(() => t.add(here, there))).toMatchInlineSnapshot(
    `"DeviceError (device): add: a is f32[2, 3] on cpu, b is f32[2, 3] on another cpu device; expected one device. Move one: tensor(await b.data(), { shape: b.shape, device: a.device })."`,
  );
});

test("the branch of a condition", () => {
  expect(messageOf(() => t.where(make([3], "bool"), here, there))).toMatchInlineSnapshot(
    `"DeviceError (device): where: condition is bool[3] on cpu, b is f32[2, 3] on another cpu device; expected one device. Move one: tensor(await b.data(), { shape: b.shape, device: condition.device })."`,
  );
});

test("factors of a product", () => {
  expect(messageOf(() => t.matmul(here, t.transpose(there)))).toMatchInlineSnapshot(
    `"DeviceError (device): matmul: a is f32[2, 3] on cpu, b is f32[3, 2] on another cpu device; expected one device. Move one: tensor(await b.data(), { shape: b.shape, device: a.device })."`,
  );
});

test("the bias of a linear map", () => {
  expect(
    messageOf(() => t.linear(here, make([4, 3]), t.zeros([4], { device: other }))),
  ).toMatchInlineSnapshot(
    `"DeviceError (device): linear: x is f32[2, 3] on cpu, bias is f32[4] on another cpu device; expected one device. Move one: tensor(await bias.data(), { shape: bias.shape, device: x.device })."`,
  );
});

test("an index", () => {
  expect(
    messageOf(() => t.gather(here, 0, t.zeros([2, 3], { dtype: "i32", device: other }))),
  ).toMatchInlineSnapshot(
    `"DeviceError (device): gather: x is f32[2, 3] on cpu, index is i32[2, 3] on another cpu device; expected one device. Move one: tensor(await index.data(), { shape: index.shape, device: x.device })."`,
  );
});

test("ids of an embedding", () => {
  expect(messageOf(() => t.embedding(here, otherIds))).toMatchInlineSnapshot(
    `"DeviceError (device): embedding: weight is f32[2, 3] on cpu, ids is i32[2] on another cpu device; expected one device. Move one: tensor(await ids.data(), { shape: ids.shape, device: weight.device })."`,
  );
});

test("one of several to join", () => {
  expect(messageOf(() => t.concat([here, here, there]))).toMatchInlineSnapshot(
    `"DeviceError (device): concat: xs[0] is f32[2, 3] on cpu, xs[2] is f32[2, 3] on another cpu device; expected one device. Move one: tensor(await xs[2].data(), { shape: xs[2].shape, device: xs[0].device })."`,
  );
});

test("one of several to stack", () => {
  expect(messageOf(() => t.stack([here, there]))).toMatchInlineSnapshot(
    `"DeviceError (device): stack: xs[0] is f32[2, 3] on cpu, xs[1] is f32[2, 3] on another cpu device; expected one device. Move one: tensor(await xs[1].data(), { shape: xs[1].shape, device: xs[0].device })."`,
  );
});

test("a norm's weight", () => {
  expect(messageOf(() => t.rmsNorm(here, t.ones([3], { device: other })))).toMatchInlineSnapshot(
    `"DeviceError (device): rmsNorm: x is f32[2, 3] on cpu, weight is f32[3] on another cpu device; expected one device. Move one: tensor(await weight.data(), { shape: weight.shape, device: x.device })."`,
  );
});

test("positions", () => {
  expect(messageOf(() => t.rope(make([2, 1, 4]), otherIds))).toMatchInlineSnapshot(
    `"DeviceError (device): rope: x is f32[2, 1, 4] on cpu, positions is i32[2] on another cpu device; expected one device. Move one: tensor(await positions.data(), { shape: positions.shape, device: x.device })."`,
  );
});

test("targets", () => {
  expect(messageOf(() => t.logProbGather(here, otherIds))).toMatchInlineSnapshot(
    `"DeviceError (device): logProbGather: logits is f32[2, 3] on cpu, ids is i32[2] on another cpu device; expected one device. Move one: tensor(await ids.data(), { shape: ids.shape, device: logits.device })."`,
  );
});

test("attention spans", () => {
  expect(
    messageOf(() =>
      t.attention(
        make([1, 1, 4]),
        make([1, 1, 4]),
        make([1, 1, 4]),
        t.attentionSpans(Int32Array.of(0, 0, 0, 1), 1, { device: other }),
      ),
    ),
  ).toMatchInlineSnapshot(
    `"DeviceError (device): attention: q is f32[1, 1, 4] on cpu, spans are on another device; expected one device. Make them beside q: attentionSpans(ranges, keyCount, { device: q.device })."`,
  );
});

test("rows to write", () => {
  expect(
    messageOf(() => t.assignRows(here, Int32Array.of(0), t.zeros([1, 3], { device: other }))),
  ).toMatchInlineSnapshot(
    `"DeviceError (device): assignRows: target is f32[2, 3] on cpu, values is f32[1, 3] on another cpu device; expected one device. Move one: tensor(await values.data(), { shape: values.shape, device: target.device })."`,
  );
});

test("the gradients of a step", () => {
  expect(
    messageOf(() =>
      t.adamWStep(
        {
          params: make([2]),
          grads: t.zeros([2], { device: other }),
          m: make([2]),
          v: make([2]),
          decayMask: make([2]),
          clipScale: make([]),
        },
        { lr: 1, beta1: 0, beta2: 0, eps: 1, weightDecay: 0, step: 1 },
      ),
    ),
  ).toMatchInlineSnapshot(
    `"DeviceError (device): adamWStep: params is f32[2] on cpu, grads is f32[2] on another cpu device; expected one device. Move one: tensor(await grads.data(), { shape: grads.shape, device: params.device })."`,
  );
});

test("targets of a loss", () => {
  expect(messageOf(() => t.crossEntropy(here, otherIds))).toMatchInlineSnapshot(
    `"DeviceError (device): crossEntropy: logits is f32[2, 3] on cpu, targets is i32[2] on another cpu device; expected one device. Move one: tensor(await targets.data(), { shape: targets.shape, device: logits.device })."`,
  );
});

test("no device at all", () => {
  const previous = t.setDefaultDevice(undefined);
  try {
    expect(messageOf(() => t.zeros([1]))).toMatchInlineSnapshot(
      `"DeviceError (device): init: there is no device yet, expected one before the first tensor. Call it once: await init()."`,
    );
  } finally {
    t.setDefaultDevice(previous);
  }
});

test("a device that does not exist", async () => {
  expect(await rejectionOf(() => t.createDevice({ device: "gpu" as "cpu" }))).toMatchInlineSnapshot(
    `"ValueError (value): init: device is the string "gpu", expected "auto", "webgpu" or "cpu". Let it choose: init({ device: "auto" })."`,
  );
});

test("a device that was destroyed", async () => {
  const gone = await t.createDevice({ device: "cpu" });
  gone.destroy();
  expect(messageOf(() => t.zeros([1], { device: gone }))).toMatchInlineSnapshot(
    `"DeviceError (device): zeros: this cpu device was destroyed. Call init() for a new one, and make its tensors there."`,
  );
});
