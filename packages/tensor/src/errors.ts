/**
 * Typed errors. Every message says what was wrong, where, what was expected, and ends with the call that fixes it.
 * `code` is stable and meant for programs; the class name is meant for people.
 */

/**
 * Base class of every error this package throws on purpose: `error.code` is stable and meant for programs, `error.message`
 * names the operation, the argument, what was expected and received, and ends with the call that fixes it.
 * @example
 * ```ts
 * try {
 *   matmul(zeros([2, 3]), zeros([4, 3]));
 * } catch (error) {
 *   if (!(error instanceof PactError)) throw error;
 *   console.log(error.message); // matmul: inner dimensions differ: a is f32[2, 3], b is f32[4, 3]; …
 * }
 * new PactError("shape", "…").code; // → "shape"
 * ```
 */
export class PactError extends Error {
  /** Stable machine-readable name, for example `"shape"`. */
  readonly code: string;
  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
    this.name = new.target.name;
  }
}

/**
 * Shapes that do not fit the operation; code `shape`.
 * @example
 * ```ts
 * add(zeros([2, 3]), zeros([2])); // → throws ShapeError
 * add(zeros([2, 3]), unsqueeze(zeros([2]), -1)); // → f32[2, 3]
 * ```
 */
export class ShapeError extends PactError {
  constructor(message: string) {
    super("shape", message);
  }
}

/**
 * A dtype that the operation or the device does not take; code `dtype`.
 * @example
 * ```ts
 * exp(zeros([2], { dtype: "i32" })); // → throws DTypeError
 * exp(cast(zeros([2], { dtype: "i32" }), "f32")); // → f32[2]
 * ```
 */
export class DTypeError extends PactError {
  constructor(message: string) {
    super("dtype", message);
  }
}

/**
 * An axis outside the tensor's rank, or named twice; code `axis`.
 * @example
 * ```ts
 * sum(zeros([2, 3]), { axes: 2 }); // → throws AxisError
 * sum(zeros([2, 3]), { axes: -1 }); // → f32[2]
 * ```
 */
export class AxisError extends PactError {
  constructor(message: string) {
    super("axis", message);
  }
}

/**
 * A value, index or setting outside its range, or an argument of the wrong kind (a plain array where a tensor belongs); code
 * `value`.
 * @example
 * ```ts
 * arange(2.5); // → throws ValueError
 * take(tensor([1, 2]), tensor(Int32Array.of(2))); // → throws ValueError
 * ```
 */
export class ValueError extends PactError {
  constructor(message: string) {
    super("value", message);
  }
}

/**
 * No device, a device that lacks something, or tensors of different devices in one call; code `device`.
 * @example
 * ```ts
 * const other = await createDevice({ device: "cpu" });
 * const [a, b] = [ones([2]), ones([2], { device: other })];
 * add(a, b); // → throws DeviceError
 * add(a, tensor(await b.data(), { shape: b.shape, device: a.device })); // → f32[2]
 * ```
 */
export class DeviceError extends PactError {
  constructor(message: string, options?: ErrorOptions) {
    super("device", message, options);
  }
}

/**
 * The device ran out of memory, or a tensor exceeds one binding's limit or 2³² − 1 elements; code `out-of-memory`. The
 * device still works for smaller tensors.
 * @example
 * ```ts
 * expand(zeros([1]), [2 ** 32]); // → throws OutOfMemoryError
 * ```
 */
export class OutOfMemoryError extends PactError {
  constructor(message: string, options?: ErrorOptions) {
    super("out-of-memory", message, options);
  }
}

/**
 * The GPU device stopped: driver reset, machine asleep, taken away; code `device-lost`. Its tensors are gone; `init()` gives
 * a new device.
 * @example
 * ```ts
 * new DeviceLostError("add: the GPU is gone.").code; // → "device-lost"
 * ```
 */
export class DeviceLostError extends PactError {
  constructor(message: string) {
    super("device-lost", message);
  }
}

/**
 * Use of a tensor after its memory was given back; code `disposed`.
 * @example
 * ```ts
 * const x = ones([2]);
 * x.dispose();
 * exp(x); // → throws DisposedError
 * ```
 */
export class DisposedError extends PactError {
  constructor(message: string, options?: ErrorOptions) {
    super("disposed", message, options);
  }
}

/**
 * A function that can not be differentiated as asked; code `autodiff`.
 * @example
 * ```ts
 * grad((x: Tensor) => mul(x, 2))(ones([2])); // → throws AutodiffError
 * grad((x: Tensor) => sum(mul(x, 2)))(ones([2])); // → f32[2]
 * ```
 */
export class AutodiffError extends PactError {
  constructor(message: string) {
    super("autodiff", message);
  }
}

/**
 * A function that can not be captured as it is: it reads numbers, returns a promise or draws the same random numbers again;
 * code `capture`.
 * @example
 * ```ts
 * const step = capture((x: Tensor) => x.item());
 * step(ones([])); // → throws CaptureError
 * ```
 */
export class CaptureError extends PactError {
  constructor(message: string) {
    super("capture", message);
  }
}

/**
 * `debug.checkFinite` found the operation that made a NaN or an infinity; code `non-finite`.
 * @example
 * ```ts
 * new NonFiniteError("log: output 0 holds NaN.").code; // → "non-finite"
 * ```
 */
export class NonFiniteError extends PactError {
  constructor(message: string, options?: ErrorOptions) {
    super("non-finite", message, options);
  }
}
