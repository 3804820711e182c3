/** Schemas of every kind: what the policy is shown, what is refused, and which types execute gets. */

import {
  type AnyTool,
  executeTool,
  SchemaError,
  type ToolCall,
  type Tools,
  tool,
  toolDefinitions,
} from "@pact/tools-sim";
import { toJsonSchema } from "@valibot/to-json-schema";
import { type } from "arktype";
import * as v from "valibot";
import { describe, expect, expectTypeOf, it, test } from "vitest";
import { z } from "zod";

type Arguments = ToolCall["function"]["arguments"];
const call = (name: string, args: Arguments = {}, id?: string): ToolCall => ({
  ...(id === undefined ? {} : { id }),
  type: "function",
  function: { name, arguments: args },
});
const jsonSchema = {
  type: "object",
  properties: { town: { type: "string" }, days: { type: "array", items: { type: "integer" } } },
  required: ["town", "days"],
  additionalProperties: false,
};
const zodSchema = z.strictObject({ town: z.string(), days: z.array(z.int()) });
const arkSchema = type({ town: "string", days: "number.integer[]", "+": "reject" });
const valibotSchema = v.strictObject({ town: v.string(), days: v.array(v.pipe(v.number(), v.integer())) });
const echo = { execute: (input: unknown) => input as Arguments };
const kinds: Record<string, AnyTool> = {
  zod: { inputSchema: zodSchema, ...echo },
  arktype: { inputSchema: arkSchema, ...echo },
  valibot: { inputSchema: valibotSchema, jsonSchema: toJsonSchema(valibotSchema), ...echo },
  json: { inputSchema: jsonSchema, ...echo },
};

describe.each(Object.entries(kinds))("a schema of %s", (_, tested) => {
  it("is shown as JSON Schema", () => {
    const [{ function: definition }] = toolDefinitions({ forecast: { description: "Weather.", ...tested } });
    expect(definition).toMatchObject({
      name: "forecast",
      description: "Weather.",
      parameters: {
        type: "object",
        properties: { town: { type: "string" }, days: { type: "array", items: { type: "integer" } } },
      },
    });
    expect([...(definition.parameters.required ?? [])].sort()).toEqual(["days", "town"]);
    expect(definition.parameters.additionalProperties).toBe(false);
  });

  it.each<[string, Arguments, RegExp]>([
    ["a missing argument", { days: [1] }, /town/],
    ["a wrong type", { town: 1, days: [] }, /town: .*string/i],
    ["a wrong type deep inside", { town: "Bavo", days: [1, "2"] }, /days\[1\]: .*(number|integer)/i],
    ["an unknown argument", { town: "Bavo", days: [], extra: 1 }, /extra/],
  ])("refuses %s by name", async (_, args, message) => {
    const observation = await executeTool({ forecast: tested }, call("forecast", args, "call_7"));
    expect(observation).toMatchObject({ name: "forecast", error: true, callId: "call_7" });
    expect(observation.content).toMatch(/^\{"error": "bad arguments: /);
    expect(observation.content).toMatch(message);
  });

  it("passes what fits", async () => {
    const observation = await executeTool(
      { forecast: tested },
      call("forecast", { town: "Bavo", days: [1, 2] }),
    );
    expect(observation).toEqual({
      name: "forecast",
      content: '{"town": "Bavo", "days": [1, 2]}',
      error: false,
      source: "simulated",
    });
  });
});

describe("tool", () => {
  it("gives execute the type of its schema's output", async () => {
    const fromZod = tool({
      inputSchema: z.object({ a: z.number(), b: z.string().transform(Number) }),
      execute(input, { signal }) {
        expectTypeOf(input).toEqualTypeOf<{ a: number; b: number }>();
        expectTypeOf(signal).toEqualTypeOf<AbortSignal>();
        return { sum: input.a + input.b };
      },
    });
    const fromValibot = tool({
      inputSchema: valibotSchema,
      jsonSchema: toJsonSchema(valibotSchema),
      execute: (input) => {
        expectTypeOf(input).toEqualTypeOf<{ town: string; days: number[] }>();
        return input.town;
      },
    });
    const fromArkType = tool({
      inputSchema: arkSchema,
      execute: (input) => {
        expectTypeOf(input).toEqualTypeOf<{ town: string; days: number[] }>();
        return input.days;
      },
    });
    const fromJson = tool({
      inputSchema: jsonSchema,
      execute: (input) => {
        expectTypeOf(input).toEqualTypeOf<Arguments>();
        return 1;
      },
    });
    const tools: Tools = { fromZod, fromValibot, fromArkType, fromJson };
    expect((await executeTool(tools, call("fromZod", { a: 1, b: "2" }))).content).toBe('{"sum": 3}');
  });

  it("takes tools of the AI SDK", async () => {
    // The part of AI SDK 7's types that decides (vercel/ai 7.0, packages/provider-utils: Tool, FlexibleSchema,
    // ToolExecutionOptions). The package itself needs Node 22.
    interface ModelMessage {
      role: "user";
      content: string;
    }
    interface AiSchema<T> {
      _type: T;
      readonly jsonSchema: object | PromiseLike<object>;
      readonly validate?: (value: unknown) => { success: true; value: T } | { success: false; error: Error };
    }
    interface AiTool<Input, Output> {
      description?: string | ((options: { context: Record<string, unknown> }) => string);
      title?: string;
      inputSchema: AiSchema<Input> | (() => AiSchema<Input>) | z.ZodType<Input>;
      execute: (
        input: Input,
        options: {
          toolCallId: string;
          messages: ModelMessage[];
          abortSignal?: AbortSignal;
          context: Record<string, unknown>;
        },
      ) => AsyncIterable<Output> | PromiseLike<Output> | Output;
    }
    const marked = <T>(schema: Omit<AiSchema<T>, "_type">): AiSchema<T> => ({
      [Symbol.for("vercel.ai.schema")]: true,
      _type: undefined as T,
      ...schema,
    });
    const withZod: AiTool<{ town: string }, string> = {
      description: () => "Says the town.",
      inputSchema: z.object({ town: z.string() }),
      execute: async ({ town }, { toolCallId, abortSignal, messages, context }) =>
        `${town} ${toolCallId} ${abortSignal?.aborted} ${messages.length} ${Object.keys(context).length}`,
    };
    const withJson: AiTool<{ town: string }, string> = {
      inputSchema: () => marked({ jsonSchema, validate: undefined }),
      execute: async function* ({ town }) {
        yield "first";
        yield town;
      },
    };
    const withValidate: AiTool<{ town: string }, number> = {
      inputSchema: marked<{ town: string }>({
        jsonSchema,
        validate: (value) =>
          typeof value === "object" && value !== null && "town" in value
            ? { success: true, value: { town: String(value.town) } }
            : { success: false, error: new Error("town is missing") },
      }),
      execute: ({ town }) => town.length,
    };
    const tools: Tools = { withZod, withJson, withValidate };
    expect(toolDefinitions(tools)[0].function.description).toBe("Says the town.");
    expect((await executeTool(tools, call("withZod", { town: "Bavo" }, "c1"))).content).toBe(
      "Bavo c1 false 0 0",
    );
    expect((await executeTool(tools, call("withJson", { town: "Bavo", days: [] }))).content).toBe("Bavo");
    expect((await executeTool(tools, call("withJson", { town: "Bavo" }))).content).toContain("days");
    expect((await executeTool(tools, call("withValidate", { town: "Bavo" }))).content).toBe("4");
    expect((await executeTool(tools, call("withValidate"))).content).toContain("town is missing");
  });
});

describe("toolDefinitions", () => {
  const execute = () => 1;
  test.each<[string, Record<string, unknown>]>([
    ["a Valibot schema without JSON Schema", { t: { inputSchema: valibotSchema, execute } }],
    ["a schema without a form in JSON Schema", { t: { inputSchema: z.object({ a: z.date() }), execute } }],
    ["no schema", { t: { execute } }],
    ["a schema of another type", { t: { inputSchema: { type: "string" }, execute } }],
    ["a reference to nothing", { t: { inputSchema: { properties: { a: { $ref: "#/$defs/b" } } }, execute } }],
    ["a reference elsewhere", { t: { inputSchema: { $ref: "https://example.org/a.json" }, execute } }],
    [
      "a circular schema",
      {
        t: {
          inputSchema: Object.assign(
            {},
            (() => {
              const s: Record<string, unknown> = {};
              s.s = s;
              return s;
            })(),
          ),
          execute,
        },
      },
    ],
    ["no execute", { t: { inputSchema: {} } }],
    ["a name that no model can call", { "a tool": { inputSchema: {}, execute } }],
    ["a description of no text", { t: { description: 7, inputSchema: {}, execute } }],
  ])("refuses %s", (_, tools) => {
    expect(() => toolDefinitions(tools as Tools)).toThrow(SchemaError);
  });

  it("says what to add for Valibot", () => {
    expect(() =>
      toolDefinitions({ forecast: { inputSchema: valibotSchema, execute } }),
    ).toThrowErrorMatchingInlineSnapshot(
      `[SchemaError: tool "forecast": a schema of "valibot" gives no JSON Schema itself: add jsonSchema: toJsonSchema(schema) from "@valibot/to-json-schema"]`,
    );
  });

  it("leaves the given schema as it was", () => {
    const inputSchema = {
      type: "object",
      properties: { a: { $ref: "#/$defs/n" } },
      $defs: { n: { type: "number" } },
    };
    const before = structuredClone(inputSchema);
    toolDefinitions({ t: { inputSchema, execute } })[0].function.parameters.type = "changed";
    expect(inputSchema).toEqual(before);
    expect(Object.getOwnPropertyNames(inputSchema.properties.a)).toEqual(["$ref"]);
    expect(toolDefinitions({ t: { inputSchema, execute } })[0].function.parameters.type).toBe("object");
  });

  it.each(["http://json-schema.org/draft-07/schema#", "https://json-schema.org/draft/2019-09/schema"])(
    "reads %s",
    async ($schema) => {
      // A list under items is a tuple in both drafts, and no longer one in 2020-12.
      const inputSchema = { $schema, type: "object", properties: { a: { items: [{ type: "number" }] } } };
      const tools: Tools = { t: { inputSchema, execute } };
      expect((await executeTool(tools, call("t", { a: [1, "x"] }))).error).toBe(false);
      expect((await executeTool(tools, call("t", { a: ["x"] }))).error).toBe(true);
    },
  );
});
