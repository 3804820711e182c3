/**
 * MathAPI: stateless arithmetic. Results keep Python's int and float apart; `logarithm` and `square_root` have the asked
 * number of digits and print as Python objects, not as JSON.
 */
import {
  add,
  divide,
  multiply,
  number,
  type PyNumber,
  power,
  round,
  subtract,
  sum,
} from "../../python/numbers.ts";
import { logarithmText, squareRootText } from "../../python/precise.ts";
import { dict, PyObject, type PyValue, toFloat } from "../../python/values.ts";
import type { Arguments, SimulatorClass } from "../simulator.ts";
import { dictOf, intOf, listOf, textOf } from "./config.ts";

const result = (value: PyValue) => dict({ result: value });
const failure = (message: string) => dict({ error: message });

function numbers(value: PyValue): PyNumber[] {
  return listOf(value).map(number);
}

/** The first largest element by `better`. */
function extreme(values: readonly PyNumber[], better: (a: PyNumber, b: PyNumber) => boolean): PyNumber {
  return values.reduce((best, value) => (better(value, best) ? value : best));
}

export const math: SimulatorClass = (_config, { tables }) => {
  const siUnits = dictOf(tables.get("si_to_meters"));
  const imperial = dictOf(tables.get("imperial_si"));
  return {
    state: new Map(),
    functions: {
      absolute_value: ({ number: x }) => {
        const value = number(x);
        return result(value < 0 ? -value : value);
      },
      add: ({ a, b }) => result(add(number(a), number(b))),
      subtract: ({ a, b }) => result(subtract(number(a), number(b))),
      multiply: ({ a, b }) => result(multiply(number(a), number(b))),
      divide: ({ a, b }) =>
        toFloat(number(b)) === 0 ? failure("Cannot divide by zero") : result(divide(number(a), number(b))),
      power: ({ base, exponent }) => result(power(number(base), number(exponent))),
      percentage: ({ part, whole }) =>
        toFloat(number(whole)) === 0
          ? failure("Whole value cannot be zero")
          : result(multiply(divide(number(part), number(whole)), 100n)),
      round_number: ({ number: x, decimal_places }) => result(round(number(x), intOf(decimal_places))),
      square_root: ({ number: x, precision }) => squareRoot(number(x), intOf(precision)),
      logarithm: (args) => logarithm(args),
      sum_values: ({ numbers: list }) => result(sum(numbers(list))),
      mean: ({ numbers: list }) => {
        const values = numbers(list);
        if (values.length === 0) return failure("Cannot calculate mean of an empty list");
        return result(divide(sum(values), BigInt(values.length)));
      },
      standard_deviation: ({ numbers: list }) => {
        const values = numbers(list);
        if (values.length === 0) return failure("Cannot calculate standard deviation of an empty list");
        const count = BigInt(values.length);
        const mean = divide(sum(values), count);
        const squares = values.map((value) => power(subtract(value, mean), 2n));
        return result(Math.sqrt(divide(sum(squares), count)));
      },
      max_value: ({ numbers: list }) => {
        const values = numbers(list);
        if (values.length === 0) return failure("Cannot find maximum of an empty list");
        return result(extreme(values, (a, b) => a > b));
      },
      min_value: ({ numbers: list }) => {
        const values = numbers(list);
        if (values.length === 0) return failure("Cannot find minimum of an empty list");
        return result(extreme(values, (a, b) => a < b));
      },
      si_unit_conversion: ({ value, unit_in, unit_out }) => {
        const [from, to] = [siUnits.get(textOf(unit_in)), siUnits.get(textOf(unit_out))];
        if (from === undefined || to === undefined) {
          return failure(`Conversion from '${textOf(unit_in)}' to '${textOf(unit_out)}' is not supported`);
        }
        // By way of metres, out of which the factor is 1 / metres: rounded as the benchmark rounds.
        const metres = multiply(number(value), number(from));
        return result(multiply(metres, divide(1n, number(to))));
      },
      imperial_si_conversion: ({ value, unit_in, unit_out }) => {
        const [from, to] = [textOf(unit_in), textOf(unit_out)];
        const factor = imperial.get(`${from}_to_${to}`);
        if (factor === undefined) return failure(`Conversion from '${from}' to '${to}' is not supported`);
        const scaled = multiply(number(value), number(factor));
        if (from === "celsius") return result(add(scaled, 32n));
        if (from === "fahrenheit") return result(multiply(subtract(number(value), 32n), number(factor)));
        return result(scaled);
      },
    },
  };
};

/** √x with `precision` significant digits, which Python's decimal module prints. */
function squareRoot(x: PyNumber, precision: bigint): PyValue {
  if (x < 0) return failure("Cannot calculate square root of a negative number");
  return result(new PyObject(squareRootText(x, Number(precision))));
}

function logarithm({ value, base, precision }: Arguments): PyValue {
  const [x, b] = [toFloat(number(value)), toFloat(number(base))];
  if (x <= 0 || b <= 0) return failure("Logarithm needs a positive value and base");
  return result(new PyObject(logarithmText(x, b, Number(intOf(precision)))));
}
