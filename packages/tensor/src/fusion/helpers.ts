/**
 * The WGSL functions that elementwise operations bring (`helpers`): in a fused kernel they stand beside those of others. Operations
 * whose helpers can not are found here, and keep a kernel of their own.
 */
import type { ElementwiseDefinition } from "../ops/elementwise.ts";
import type { Node } from "./expression.ts";
import { isRounded, roundedWgsl } from "./text.ts";

/** What fused kernels call themselves: functions, and local names that would hide a helper. */
const taken = /^(put|rounded|part|value|[a-z]|[a-z]+rest|[a-z]\d+[xyzw]?)$/;
/** Declarations of a module. */
const declared = /\b(?:fn|const|override|alias|struct|var(?:\s*<[^>]*>)?)\s+(\w+)/g;

const pieces = new WeakMap<object, readonly string[]>();

/** The functions of a definition, one by one. */
function piecesOf(definition: ElementwiseDefinition<unknown>): readonly string[] {
  const known = pieces.get(definition);
  if (known) return known;
  const texts = (definition.helpers ?? "").split(/^(?=fn )/m).map((text) => text.trim());
  const found = texts.filter((text) => text !== "");
  pieces.set(definition, found);
  return found;
}

/** The names that a text declares for the whole module: what stands in braces is its own. */
function namesIn(text: string): string[] {
  const outer = text.replaceAll(/\{[^{}]*\}/g, "");
  return outer === text ? [...text.matchAll(declared)].map(([, name]) => name) : namesIn(outer);
}

/** True if the helpers may stand in a fused kernel: they read no parameter, whose names change there, and take no name of its own. */
export function mayJoin(definition: ElementwiseDefinition<unknown>): boolean {
  return piecesOf(definition).every(
    (text) => !/\bp\s*\./.test(text) && !namesIn(text).some((name) => taken.test(name)),
  );
}

/** True if no name is declared by two texts, among the helpers of the nodes and `beside` them. */
export function agree(nodes: readonly Node[], beside = ""): boolean {
  const by = new Map<string, string>(namesIn(beside).map((name) => [name, beside]));
  for (const node of nodes) {
    if (node.kind !== "map") continue;
    for (const text of piecesOf(node.definition)) {
      for (const name of namesIn(text)) {
        if ((by.get(name) ?? text) !== text) return false;
        by.set(name, text);
      }
    }
  }
  return true;
}

/** The functions that the flagged nodes call, each once: several bring the same. */
export function helpersOf(nodes: readonly Node[], flags: readonly boolean[]): string {
  const found = new Set<string>(nodes.some(isRounded) ? [roundedWgsl] : []);
  nodes.forEach((node, k) => {
    if (node.kind !== "map" || !flags[k]) return;
    for (const text of piecesOf(node.definition)) found.add(text);
  });
  return [...found].join("\n");
}
