/**
 * Typed errors. Every message says what was wrong, where, what was expected, and ends with the call that fixes it.
 * `code` is stable and meant for programs; the class name is meant for people.
 */

/** Base class of every error this package throws on purpose. */
export class PactError extends Error {
  /** Stable machine-readable name, for example `"shape"`. */
  readonly code: string;
  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
    this.name = new.target.name;
  }
}

/** Shapes that do not fit the operation. */
export class ShapeError extends PactError {
  constructor(message: string) {
    super("shape", message);
  }
}

/** A dtype the operation or the device does not take. */
export class DTypeError extends PactError {
  constructor(message: string) {
    super("dtype", message);
  }
}

/** An axis outside the tensor's rank, or named twice. */
export class AxisError extends PactError {
  constructor(message: string) {
    super("axis", message);
  }
}

/** A value or index outside its allowed range. */
export class ValueError extends PactError {
  constructor(message: string) {
    super("value", message);
  }
}

/** No device, a device that lacks something, or tensors of different devices in one call. */
export class DeviceError extends PactError {
  constructor(message: string, options?: ErrorOptions) {
    super("device", message, options);
  }
}

/** The device ran out of memory, or a tensor exceeds one binding's limit. The device still works for smaller tensors. */
export class OutOfMemoryError extends PactError {
  constructor(message: string, options?: ErrorOptions) {
    super("out-of-memory", message, options);
  }
}

/** The GPU device stopped: driver reset, machine asleep, taken away. Its tensors are gone; `init()` gives a new device. */
export class DeviceLostError extends PactError {
  constructor(message: string) {
    super("device-lost", message);
  }
}

/** Use of a tensor after its memory was given back. */
export class DisposedError extends PactError {
  constructor(message: string, options?: ErrorOptions) {
    super("disposed", message, options);
  }
}

/** A function that can not be differentiated as asked. */
export class AutodiffError extends PactError {
  constructor(message: string) {
    super("autodiff", message);
  }
}

/** `debug.checkFinite` found the operation that made a NaN or an infinity. */
export class NonFiniteError extends PactError {
  constructor(message: string, options?: ErrorOptions) {
    super("non-finite", message, options);
  }
}
