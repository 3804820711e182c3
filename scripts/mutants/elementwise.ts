/** Mistakes in the derivatives of elementwise records. */
import { elementwise, golden, inFile, type Mutant, named, second } from "./mutant.ts";

const autodiff = named("test/tensor/autodiff.test.ts", /./);

export const elementwiseMutants: readonly Mutant[] = [
  ...inFile("ops/arithmetic.ts", [
    [
      "add: db doubled",
      "vjp: (_x, _y, dy) => [dy, dy],",
      "vjp: (_x, _y, dy) => [dy, add(dy, dy)],",
      elementwise("add"),
    ],
    ["sub: sign of db", "needs[1] ? neg(dy) : null", "needs[1] ? dy : null", elementwise("sub")],
    [
      "mul: operands swapped",
      "[needs[0] ? mul(dy, b) : null, needs[1] ? mul(dy, a) : null]",
      "[needs[0] ? mul(dy, a) : null, needs[1] ? mul(dy, b) : null]",
      elementwise("mul"),
    ],
    [
      "div: sign of db",
      "needs[1] ? neg(mul(da, y)) : null",
      "needs[1] ? mul(da, y) : null",
      elementwise("div"),
    ],
    [
      "div: db without y",
      "needs[1] ? neg(mul(da, y)) : null",
      "needs[1] ? neg(da) : null",
      elementwise("div"),
    ],
    ["div: da times b", "const da = div(dy, b);", "const da = mul(dy, b);", elementwise("div")],
    [
      "maximum: operands swapped",
      "vjp: ([a, b], _y, dy) => tieShares(a, b, dy),",
      "vjp: ([a, b], _y, dy) => tieShares(b, a, dy),",
      elementwise("maximum"),
    ],
    [
      "minimum: operands swapped",
      "return [toSmaller, toLarger];",
      "return [toLarger, toSmaller];",
      elementwise("minimum"),
    ],
    ["maximum: both operands get all of a tie", "mul(dy, 0.5), 0)", "dy, 0)", golden],
    ["neg: sign", "vjp: (_x, _y, dy) => [neg(dy)],", "vjp: (_x, _y, dy) => [dy],", elementwise("neg")],
    ["abs: no sign", "[mul(dy, sign(x))]", "[dy]", elementwise("abs")],
    ["square: no factor 2", "[mul(dy, mul(x, 2))]", "[mul(dy, x)]", elementwise("square")],
  ]),
  ...inFile("ops/math.ts", [
    [
      "unary: dy forgotten",
      "vjp: ([x], y, dy) => [mul(dy, d.slope(x, y))],",
      "vjp: ([x], y) => [d.slope(x, y)],",
      elementwise("exp"),
    ],
    ["pow: exponent not lowered", "mul(b, pow(a, sub(b, 1)))", "mul(b, pow(a, b))", elementwise("pow")],
    ["pow: factor b dropped", "mul(b, pow(a, sub(b, 1)))", "pow(a, sub(b, 1))", elementwise("pow")],
    ["pow: db without the logarithm", "mul(y, log(a))", "y", elementwise("pow")],
    [
      "pow: slope at b = 0 not guarded",
      "where(equal(b, 0), 0, mul(b, pow(a, sub(b, 1))))",
      "mul(b, pow(a, sub(b, 1)))",
      autodiff,
    ],
    [
      "pow: slope of b at a = 0 not guarded",
      "where(equal(a, 0), 0, mul(y, log(a)))",
      "mul(y, log(a))",
      autodiff,
    ],
    ["log: slope x", "slope: (x) => div(1, x),", "slope: (x) => x,", elementwise("log")],
    [
      "log1p: slope 1/x",
      "slope: (x) => div(1, add(x, 1)),",
      "slope: (x) => div(1, x),",
      elementwise("log1p"),
    ],
    ["expm1: slope y", "slope: (_x, y) => add(y, 1),", "slope: (_x, y) => y,", elementwise("expm1")],
    ["sqrt: no half", "slope: (_x, y) => div(0.5, y),", "slope: (_x, y) => div(1, y),", elementwise("sqrt")],
    ["rsqrt: sign", "mul(-0.5, div(y, x))", "mul(0.5, div(y, x))", elementwise("rsqrt")],
    ["rsqrt: y once more", "mul(-0.5, div(y, x))", "mul(-0.5, mul(y, div(y, x)))", elementwise("rsqrt")],
    [
      "tanh: y not squared",
      "slope: (_x, y) => sub(1, square(y)),",
      "slope: (_x, y) => sub(1, y),",
      elementwise("tanh"),
    ],
    [
      "erf: factor 2/√π",
      "mul(2 / Math.sqrt(Math.PI), exp(neg(square(x))))",
      "exp(neg(square(x)))",
      elementwise("erf"),
    ],
    ["erf: sign in the exponent", "exp(neg(square(x)))", "exp(square(x))", elementwise("erf")],
  ]),
  ...inFile("ops/activations.ts", [
    [
      "sigmoid: factor y dropped",
      "slope: (_x, y) => mul(y, sub(1, y)),",
      "slope: (_x, y) => sub(1, y),",
      elementwise("sigmoid"),
    ],
    ["softplus: slope tanh", "slope: (x) => sigmoid(x),", "slope: (x) => tanh(x),", elementwise("softplus")],
    [
      "relu: slope of the other side",
      "slope: (x) => cast(greater(x, 0), x.dtype),",
      "slope: (x) => cast(greater(0, x), x.dtype),",
      elementwise("relu"),
    ],
    [
      "silu: slope without x",
      "return s * (1 + x * (1 - s));",
      "return s * (1 + (1 - s));",
      elementwise("silu"),
    ],
    [
      "silu: second slope, sign",
      "add(2, mul(x, sub(1, mul(s, 2))))",
      "sub(2, mul(x, sub(1, mul(s, 2))))",
      second("silu"),
    ],
    [
      "gelu tanh: factor of the cubic term",
      "rootTwoOverPi * (1 + 3 * 0.044715 * x * x);",
      "rootTwoOverPi * (1 + 0.044715 * x * x);",
      elementwise("geluTanh"),
    ],
    [
      "gelu tanh: second slope, factor 2 of t",
      "sub(mul(s, ddu), mul(mul(2, t), mul(s, square(du))))",
      "sub(mul(s, ddu), mul(t, mul(s, square(du))))",
      second("geluTanh"),
    ],
    ["gelu tanh: u″", "const ddu = mul(6 * 0.044715", "const ddu = mul(3 * 0.044715", second("geluTanh")],
  ]),
  ...inFile("ops/trigonometry.ts", [
    ["sin: slope −cos", "slope: (x) => cos(x),", "slope: (x) => neg(cos(x)),", elementwise("sin")],
    ["cos: slope sin", "slope: (x) => neg(sin(x)),", "slope: (x) => sin(x),", elementwise("cos")],
  ]),
  ...inFile("ops/logic.ts", [
    [
      "where: branches swapped",
      "needs[1] ? where(c, dy, 0) : null",
      "needs[1] ? where(c, 0, dy) : null",
      elementwise("where"),
    ],
    [
      "where: b gets everything",
      "needs[2] ? where(c, 0, dy) : null",
      "needs[2] ? dy : null",
      elementwise("where"),
    ],
  ]),
  ...inFile("ops/clamp.ts", [
    ["clamp: passes below", "where(greaterEqual(x, min), dy, 0)", "dy", elementwise("clamp")],
    ["clamp: passes above", "where(lessEqual(x, max), above, 0)", "above", elementwise("clamp")],
    [
      "clamp: no slope on the lower bound",
      "where(greaterEqual(x, min), dy, 0)",
      "where(greaterEqual(x, min + 1e-9), dy, 0)",
      autodiff,
    ],
    [
      "clamp: no slope on the upper bound",
      "where(lessEqual(x, max), above, 0)",
      "where(lessEqual(x, max - 1e-9), above, 0)",
      autodiff,
    ],
  ]),
  ...inFile("ops/cast.ts", [
    [
      "cast: no gradient between floats",
      "isFloat(x.dtype) && isFloat(dtype) ? cast(dy, x.dtype) : null",
      "null",
      autodiff,
    ],
  ]),
];
