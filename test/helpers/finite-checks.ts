/** What debug.checkFinite promises, on either device. */
import {
  add,
  assignRows,
  type Device,
  debug,
  div,
  exp,
  grad,
  log,
  maskedFill,
  mul,
  NonFiniteError,
  reshape,
  slice,
  softmax,
  sqrt,
  sub,
  sum,
  type Tensor,
  tensor,
  transpose,
  valueAndGrad,
} from "@pact/tensor";
import { expect, test } from "vitest";

/** Tests for one device. */
export function finiteChecks(device: Device): void {
  const f32 = (data: number | number[] | number[][]) => tensor(data, { device });
  /** The message of the rejection, with the folder of the repository cut off. */
  const rejection = async (f: () => unknown): Promise<string> => {
    const error = await debug.checkFinite(f).then(
      () => undefined,
      (e) => e,
    );
    expect(error).toBeInstanceOf(NonFiniteError);
    expect(error.code).toBe("non-finite");
    return error.message.replaceAll(/\S*(?=test\/helpers\/finite-checks.ts:\d+:\d+)/g, "");
  };

  test("resolves with the result of f, sync or async", async () => {
    const x = f32([1, 2]);
    expect(await (await debug.checkFinite(() => log(x))).data()).toHaveLength(2);
    const later = await debug.checkFinite(async () => {
      const [first] = await x.data();
      return { y: mul(x, first), note: "kept" };
    });
    expect([...(await later.y.data())]).toEqual([1, 2]);
    expect(later.note).toBe("kept");
    expect(await debug.checkFinite(() => undefined)).toBeUndefined();
  });

  test("log of a negative number and of zero", async () => {
    const x = f32([[-1, 0, 1]]);
    const message = await rejection(() => exp(log(mul(x, 2))));
    expect(message).toMatch(
      /^checkFinite: log made 1 NaN and 1 infinite among the elements of f32\[1, 3\] out of finite inputs; inputs f32\[1, 3\]; called at test\/helpers\/finite-checks\.ts:\d+:\d+\. /,
    );
  });

  test("0/0, with what was made before", async () => {
    const x = f32([0, 1]);
    const message = await rejection(() => sum(add(div(sub(x, x), x), 1)));
    expect(message).toMatch(/^checkFinite: div made 1 NaN among .* inputs f32\[2\], f32\[2\];/);
  });

  test("overflow of exp, also where later operations hide it", async () => {
    const message = await rejection(() => div(1, exp(f32([0, 1000]))));
    expect(message).toMatch(/^checkFinite: exp made 1 infinite among the elements of f32\[2\]/);
  });

  test("infinite only in the derivative", async () => {
    const x = f32([0, 4]);
    const message = await rejection(() => valueAndGrad((x: Tensor) => sum(sqrt(x)))(x));
    expect(message).toMatch(
      /^checkFinite: \w+ in the derivative of sqrt made 1 infinite among .* called at test\/helpers\/finite-checks\.ts:\d+:\d+ \(the forward call\), test\/helpers\/finite-checks\.ts:\d+:\d+\. /,
    );
    expect([...(await (await debug.checkFinite(() => sqrt(x))).data())]).toEqual([0, 2]);
  });

  test("in the forward of a gradient, and called inside one", async () => {
    const x = f32([1, -2]);
    expect(await rejection(() => grad((x: Tensor) => sum(log(x)))(x))).toMatch(
      /^checkFinite: log made 1 NaN/,
    );
    let inner: Promise<unknown> | undefined;
    grad((x: Tensor) => {
      inner = debug.checkFinite(() => log(x));
      return sum(x);
    })(f32([-1]));
    await expect(inner).rejects.toThrow(/^checkFinite: log made 1 NaN/);
  });

  test("infinities in the data are no fault", async () => {
    const scores = f32([
      [1, 2],
      [3, 4],
    ]);
    const mask = tensor(
      [
        [false, true],
        [false, false],
      ],
      { device },
    );
    const attend = (s: Tensor) => softmax(maskedFill(s, mask, Number.NEGATIVE_INFINITY));
    const y = await debug.checkFinite(() => attend(scores));
    expect([...(await y.data())].slice(0, 2)).toEqual([1, 0]);
    const slope = (s: Tensor) => sum(mul(attend(s), s));
    for (const v of await (await debug.checkFinite(() => grad(slope)(scores))).data())
      expect(v).not.toBeNaN();
    const wide = f32([1, Number.POSITIVE_INFINITY, 3]);
    expect(await (await debug.checkFinite(() => log(slice(wide, [0], [1])))).item()).toBe(0);
  });

  test("non-finite data that reaches the result", async () => {
    const x = f32([1, Number.NEGATIVE_INFINITY]);
    const over = await rejection(() => exp(mul(f32([1, 2]), sub(add(x, 1), x))));
    expect(over).toMatch(/^checkFinite: sub made 1 NaN among .* out of infinite inputs/);
    const first = await rejection(() => ({ deep: [add(mul(x, 2), 1)] }));
    expect(first).toMatch(
      /^checkFinite: mul was the first to use the non-finite data that reached the result \(1 infinite among the elements of f32\[2\], f32\[\]\)/,
    );
    const none = await rejection(() => x);
    expect(none).toMatch(/^checkFinite: the result holds 1 infinite among the elements of f32\[2\], and no/);
    expect(x.disposed).toBe(false);
  });

  test("views are looked at through their strides", async () => {
    const x = f32([
      [1, 2, 3],
      [-4, 5, 6],
    ]);
    const bad = log(x); // made outside: data
    const column = (j: number) => slice(transpose(bad), [j, 0], [j + 1, 2]);
    await debug.checkFinite(() => exp(column(1)));
    expect(await rejection(() => exp(column(0)))).toMatch(
      /^checkFinite: permute was the first to use .* \(1 NaN among the elements of f32\[2, 3\]\)/,
    );
    expect(await rejection(() => log(slice(transpose(sub(x, 3)), [2, 0], [3, 1])))).toMatch(
      /^checkFinite: log made 1 infinite among the elements of f32\[1, 1\] out of finite/,
    );
  });

  test("of a window only its own elements count", async () => {
    const x = f32([[Number.POSITIVE_INFINITY], [-1], [Number.NEGATIVE_INFINITY]]);
    expect(await rejection(() => log(slice(x, [1, 0], [2, 1])))).toMatch(
      /^checkFinite: log made 1 NaN among the elements of f32\[1, 1\] out of finite inputs/,
    );
  });

  test("tensors changed in place are looked at again", async () => {
    const table = f32([[1], [2]]);
    const message = await rejection(() => {
      exp(table);
      assignRows(table, Int32Array.of(1), f32([[Number.POSITIVE_INFINITY]]));
      return sub(table, table);
    });
    expect(message).toMatch(/^checkFinite: sub made 1 NaN among .* out of infinite inputs/);
  });

  test("sizes around the number of lanes, and counts beyond one buffer", async () => {
    for (const n of [1, 63, 64, 65, 1000]) {
      const x = tensor(new Float32Array(n).fill(-1), { device });
      expect(await rejection(() => log(x))).toContain(`made ${n} NaN among`);
    }
    const message = await rejection(() => {
      let x = f32(1);
      for (let i = 0; i < 300; i++) x = add(x, 1);
      return log(sub(x, 500));
    });
    expect(message).toMatch(/^checkFinite: log made 1 NaN/);
  });

  test("nested calls both find it; calls one after the other do not mix", async () => {
    const x = f32([-1]);
    let inner = "";
    const outer = await rejection(async () => {
      inner = await rejection(() => log(x));
    });
    expect(inner).toMatch(/^checkFinite: log/);
    expect(outer).toMatch(/^checkFinite: log/);
    await debug.checkFinite(() => exp(x));
  });

  test("an error of f comes through, as the cause if an operation is to blame", async () => {
    const fail = (x: Tensor) => () => {
      log(x);
      throw new RangeError("loss is not finite");
    };
    await expect(debug.checkFinite(fail(f32([1])))).rejects.toThrow(RangeError);
    const error = await debug.checkFinite(fail(f32([-1]))).catch((e) => e);
    expect(error).toBeInstanceOf(NonFiniteError);
    expect(error.cause).toBeInstanceOf(RangeError);
  });

  test("gives its memory back, and the result's when it rejects", async () => {
    const x = f32([1, -2]);
    const before = device.memory();
    const same = () => {
      const { liveTensors, liveBytes } = device.memory();
      expect({ liveTensors, liveBytes }).toEqual({
        liveTensors: before.liveTensors,
        liveBytes: before.liveBytes,
      });
    };
    (await debug.checkFinite(() => exp(x))).dispose();
    same();
    await rejection(() => valueAndGrad((x: Tensor) => sum(log(x)))(x));
    same();
    await rejection(() => log(slice(transpose(reshape(x, [1, 2])), [1, 0], [2, 1])).dispose());
    expect(device.memory().liveBytes).toBe(before.liveBytes);
  });
}
