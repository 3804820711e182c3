/** The simulators of one task, started from its configuration: runs calls and shows the public state. */
import type { PyCall } from "../python/expression.ts";
import { deepCopy, type PyDict, type PyValue } from "../python/values.ts";
import { classFiles, type SimulatorClassName } from "./classes/index.ts";
import type { BfclResources, BfclTask } from "./load.ts";
import { executeCall, type Instance } from "./simulator.ts";

/** Simulators that share one episode. */
export class BfclMachine {
  private readonly instances: Instance[];

  constructor(task: BfclTask, { functions, tables, filler }: BfclResources) {
    this.instances = task.classes.map((className) => ({
      className,
      simulator: classFiles[className].create(deepCopy(dictAt(task.config, className)), {
        longContext: task.category === "long_context",
        tables: dictAt(tables, className),
        filler,
      }),
      signatures: new Map([...(functions.get(className) ?? [])].map(([name, f]) => [name, f.signature])),
    }));
  }

  /** Runs one call and returns the text of its result; never throws for what a model wrote. */
  execute(call: string | PyCall): string {
    return executeCall(this.instances, call);
  }

  /** The public attributes of each class, copied; those whose name begins with an underscore are held back. */
  state(): Map<SimulatorClassName, PyDict> {
    return new Map(
      this.instances.map(({ className, simulator }) => [
        className as SimulatorClassName,
        new Map([...deepCopy(simulator.state)].filter(([name]) => !String(name).startsWith("_"))),
      ]),
    );
  }
}

function dictAt(value: PyDict, key: string): PyDict {
  const entry: PyValue | undefined = value.get(key);
  return entry instanceof Map ? entry : new Map();
}
