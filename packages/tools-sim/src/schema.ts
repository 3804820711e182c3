/**
 * What a tool's arguments must be, from whatever the tool's author has: a Standard Schema (Zod, Valibot, ArkType …), raw
 * JSON Schema, or a schema of the AI SDK. All become one shape: the JSON Schema that the policy is shown, and a check.
 *
 * Source: Standard Schema 1.1 (standardschema.dev, MIT); JSON Schema draft 2020-12, 2019-09, 7 and 4; the AI SDK's
 * `jsonSchema()` (Apache-2.0). Raw JSON Schema is checked by @cfworker/json-schema, which walks the schema and generates
 * no code. Left out: schemas loaded from elsewhere (`$ref` to another document is refused).
 * NOTE: `uniqueItems` compares all pairs and `pattern` is a regular expression that may backtrack: both are for schemas
 * whose author is trusted.
 */
import {
  dereference,
  type OutputUnit,
  type Schema,
  type SchemaDraft,
  Validator,
} from "@cfworker/json-schema";
import { SchemaError } from "./errors.ts";
import { isObject } from "./json.ts";
import type { JsonSchema } from "./types.ts";

/** The part of Standard Schema 1.1 that is used here. */
export interface StandardSchema<Input = unknown, Output = Input> {
  readonly "~standard": {
    readonly version: 1;
    readonly vendor: string;
    readonly types?: { readonly input: Input; readonly output: Output } | undefined;
    readonly validate: (value: unknown) => StandardResult<Output> | Promise<StandardResult<Output>>;
    /** Since 1.1, and not given by every library. */
    readonly jsonSchema?: {
      readonly input: (options: { readonly target: string }) => Record<string, unknown>;
    };
  };
}

/** What a Standard Schema's `validate` gives. */
export type StandardResult<Output> =
  | { readonly value: Output; readonly issues?: undefined }
  | { readonly issues: readonly StandardIssue[] };

interface StandardIssue {
  readonly message: string;
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
}

/** Checked arguments, or what is wrong with them: each text names the place and what was expected. */
export type CheckedInput = { value: unknown; problems?: undefined } | { problems: string[] };

/** A schema in the one shape that tools are run with. */
export interface InputSchema {
  jsonSchema: JsonSchema;
  /** May throw or reject: a library's own transforms run in it. */
  check(value: unknown): CheckedInput | Promise<CheckedInput>;
}

/** How the AI SDK marks its own schemas. */
const aiSchema = Symbol.for("vercel.ai.schema");

/**
 * Reads a tool's schema.
 *
 * @param inputSchema - Standard Schema, JSON Schema, or an AI SDK schema (also a function that gives one)
 * @param jsonSchema - what the policy is shown instead of the schema's own JSON Schema
 * @param toolName - for error messages
 * @throws SchemaError if there is no JSON Schema, or it can not be used
 */
export function readSchema(inputSchema: unknown, jsonSchema: unknown, toolName: string): InputSchema {
  const fail = (problem: string): never => {
    throw new SchemaError(`tool ${JSON.stringify(toolName)}: ${problem}`);
  };
  if (isStandardSchema(inputSchema)) {
    const standard = inputSchema["~standard"];
    const shown = jsonSchema ?? standardJsonSchema(standard, fail);
    return { jsonSchema: plainSchema(shown, fail), check: (value) => checkStandard(standard, value) };
  }
  const given = typeof inputSchema === "function" ? (inputSchema() as unknown) : inputSchema;
  if (!isObject(given)) {
    return fail("inputSchema must be a Standard Schema (Zod, Valibot, ArkType …) or a JSON Schema object");
  }
  if (!(aiSchema in given)) return rawSchema(given, jsonSchema, fail);
  const own: unknown = jsonSchema ?? given.jsonSchema;
  if (isObject(own) && "then" in own)
    fail("its JSON Schema is a promise: await it and pass it as jsonSchema");
  const { validate } = given as { validate?: unknown };
  if (typeof validate !== "function") return rawSchema(own, undefined, fail);
  return {
    jsonSchema: plainSchema(own, fail),
    check: async (value) => {
      const result: unknown = await validate(value);
      if (isObject(result) && result.success === true) return { value: result.value };
      const error: unknown = isObject(result) ? result.error : undefined;
      return { problems: [error instanceof Error ? error.message : "arguments do not fit the schema"] };
    },
  };
}

type Fail = (problem: string) => never;

/** ArkType's schemas are functions, others objects. */
function isStandardSchema(schema: unknown): schema is StandardSchema {
  const mayBe = (typeof schema === "object" && schema !== null) || typeof schema === "function";
  return mayBe && "~standard" in schema && isObject(schema["~standard"]);
}

function standardJsonSchema(standard: StandardSchema["~standard"], fail: Fail): unknown {
  const { vendor, jsonSchema } = standard;
  if (jsonSchema === undefined) {
    const how =
      vendor === "valibot"
        ? 'jsonSchema: toJsonSchema(schema) from "@valibot/to-json-schema"'
        : "jsonSchema: the schema as a JSON Schema object";
    return fail(`a schema of ${JSON.stringify(vendor)} gives no JSON Schema itself: add ${how}`);
  }
  let reason = "";
  for (const target of ["draft-2020-12", "draft-07"]) {
    try {
      return jsonSchema.input({ target });
    } catch (error) {
      reason = error instanceof Error ? error.message : String(error);
    }
  }
  return fail(
    `its schema has no form in JSON Schema (${reason}): add jsonSchema with what the policy is shown`,
  );
}

async function checkStandard(standard: StandardSchema["~standard"], value: unknown): Promise<CheckedInput> {
  const result = await standard.validate(value);
  if (!result.issues) return { value: result.value };
  return {
    problems: result.issues.map(({ message, path = [] }) => {
      const keys = path.map((part) => String(typeof part === "object" ? part.key : part));
      return `${placeOf(keys)}: ${message}`;
    }),
  };
}

/** A copy that is nothing but JSON, checked to describe an object. */
function plainSchema(schema: unknown, fail: Fail): JsonSchema {
  let copy: unknown;
  try {
    copy = JSON.parse(JSON.stringify(schema));
  } catch {
    return fail("its JSON Schema is not plain JSON (undefined, circular or with values that throw)");
  }
  if (!isObject(copy)) return fail("its JSON Schema must be an object");
  const { type = "object" } = copy;
  if (type !== "object") return fail(`its JSON Schema must have type "object", got ${JSON.stringify(type)}`);
  return copy as JsonSchema;
}

function rawSchema(schema: unknown, shown: unknown, fail: Fail): InputSchema {
  const jsonSchema = plainSchema(schema, fail);
  // The validator notes addresses in the schema it is given, so it gets a copy of its own.
  const copy = { type: "object", ...structuredClone(jsonSchema) } as Schema;
  let validator: Validator;
  try {
    const all = dereference(copy);
    for (const part of Object.values(all)) {
      const reference = typeof part === "object" ? part.__absolute_ref__ : undefined;
      if (reference !== undefined && all[reference] === undefined) {
        throw new Error(`$ref ${JSON.stringify((part as Schema).$ref)} points to nothing in it`);
      }
    }
    validator = new Validator(copy, draftOf(copy), false);
  } catch (error) {
    return fail(`its JSON Schema can not be used: ${error instanceof Error ? error.message : String(error)}`);
  }
  return {
    jsonSchema: shown === undefined ? jsonSchema : plainSchema(shown, fail),
    check(value) {
      const { valid, errors } = validator.validate(value);
      return valid ? { value } : { problems: leafProblems(errors) };
    },
  };
}

function draftOf({ $schema = "" }: Schema): SchemaDraft {
  const named = /draft-0?([47])\b/.exec($schema)?.[1] ?? /draft\/(2019-09)/.exec($schema)?.[1];
  return (named as SchemaDraft | undefined) ?? "2020-12";
}

/** Keywords that only say that something inside them is wrong. */
const wrappers: ReadonlySet<string> = new Set([
  ...["properties", "patternProperties", "additionalProperties", "unevaluatedProperties", "$ref"],
  ...["items", "prefixItems", "additionalItems", "allOf", "if", "dependentSchemas"],
]);

function leafProblems(errors: readonly OutputUnit[]): string[] {
  return errors.flatMap(({ keyword, instanceLocation, error }) => {
    if (wrappers.has(keyword)) return [];
    const keys = instanceLocation.split("/").slice(1).map(decoded);
    return [`${placeOf(keys)}: ${keyword === "false" ? "is not expected" : error.replace(/\.$/, "")}`];
  });
}

/** A part of a JSON pointer in a URI fragment. */
function decoded(part: string): string {
  try {
    return decodeURIComponent(part).replaceAll("~1", "/").replaceAll("~0", "~");
  } catch {
    return part;
  }
}

/** `a.list[0]`, or `arguments` for the whole. */
function placeOf(keys: readonly string[]): string {
  const path = keys.map((key, i) => (/^\d+$/.test(key) ? `[${key}]` : i === 0 ? key : `.${key}`)).join("");
  return path === "" ? "arguments" : path;
}
