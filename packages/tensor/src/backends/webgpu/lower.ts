/**
 * From the steps of a recording to kernel starts, without a buffer: each step's record is asked for its kernels, on tensors
 * whose memory is only planned. Temporaries that records make beside their outputs become memories of their own.
 */
import { planned, type Recording, recordedBy } from "../../capture/active.ts";
import type { Program, Value } from "../../capture/program.ts";
import type { Device } from "../../device.ts";
import { DeviceError } from "../../errors.ts";
import { scope } from "../../scope.ts";
import { BorrowedStorage, type Storage, Tensor } from "../../tensor.ts";
import type { KernelCall } from "./kernel.ts";

/** A kernel start with the memory of each buffer it binds. */
export interface PlannedCall {
  readonly call: KernelCall;
  readonly memories: readonly number[];
}

/** What a recording starts, and all memories that it takes, the program's first. */
export interface Lowered {
  readonly calls: readonly PlannedCall[];
  readonly storages: readonly Storage[];
}

/** The kernel starts of `program` on `device`, those left out that have nothing to do. */
export function lowered(device: Device, program: Program): Lowered {
  const storages: Storage[] = [];
  const numbers = new Map<Storage, number>();
  const storageOf: Recording["storage"] = (_device, dtype, size, data) => {
    if (data)
      throw new DeviceError(
        "capture: a kernel was planned with a tensor of host values, expected none. Pass it to the operation as an input.",
      );
    const storage = new BorrowedStorage(device, dtype, size, planned);
    numbers.set(storage, storages.push(storage) - 1);
    return storage;
  };
  for (const { dtype, size } of program.memories) storageOf(device, dtype, size);
  const refuse = () => {
    throw new DeviceError(
      "capture: a kernel ran an operation while it was planned. Compose it of operations instead.",
    );
  };
  const tensorOf = ({ memory, shape, strides, offset }: Value) =>
    new Tensor(storages[memory], shape, strides, offset);
  const calls = recordedBy({ storage: storageOf, runner: refuse, onReplay: refuse }, () =>
    program.steps.flatMap(({ op, inputs, outputs, attrs }) => {
      if (!op.webgpu)
        throw new DeviceError(
          `${op.name} has no WebGPU kernel. Use the cpu device: init({ device: "cpu" }).`,
        );
      const kernels: KernelCall[] = [];
      scope(() => {
        kernels.push(...(op.webgpu?.(inputs.map(tensorOf), outputs.map(tensorOf), attrs) ?? []));
      });
      return kernels.filter(({ count }) => count > 0);
    }),
  );
  const numberOf = ({ storage }: Tensor) => numbers.get(storage) ?? refuse();
  return { calls: calls.map((call) => ({ call, memories: call.buffers.map(numberOf) })), storages };
}
