/** The operations of examples/002-custom-op.ts, written from outside the package, as cases of the property tests. */
import { squaredDistance, squaredRelu, squaredReluOp } from "../../examples/002-custom-op.ts";
import { layouts } from "./layouts.ts";
import { floats, type OpCase } from "./problem.ts";

export const customCases: OpCase[] = [
  {
    name: "squaredRelu",
    gradient: true,
    draw(draw) {
      const options = { ...squaredReluOp.definition.domains[0], layout: draw.pick(layouts) };
      return { operands: [floats(draw, draw.shape(0, 3), options)], run: ([x]) => squaredRelu(x) };
    },
  },
  {
    name: "squaredDistance",
    gradient: true,
    draw(draw) {
      const shape = draw.shape(1, 3);
      return {
        operands: [floats(draw, shape), floats(draw, shape)],
        run: ([a, b]) => squaredDistance(a, b),
      };
    },
  },
];
