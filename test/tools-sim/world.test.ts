import {
  dateRelations,
  drawName,
  entityTypes,
  heldOutRelations,
  Random,
  relations,
  splitOfName,
  World,
} from "@pact/tools-sim";
import fc from "fast-check";
import { expect, it } from "vitest";

const specs = fc.record({
  seed: fc.nat(1000),
  split: fc.constantFrom("train" as const, "heldout" as const),
  index: fc.nat(100),
  entitiesPerType: fc.integer({ min: 16, max: 40 }),
});

it("builds the same world from the same spec, with distinct names of its split", () => {
  fc.assert(
    fc.property(specs, (spec) => {
      const world = new World(spec);
      expect(world.entities).toEqual(new World(spec).entities);
      const names = entityTypes.flatMap((type) => world.entities[type]);
      expect(new Set(names).size).toBe(3 * spec.entitiesPerType);
      for (const name of names) {
        expect(splitOfName(name)).toBe(spec.split);
        expect(name).toMatch(/^[A-Z][a-z]([a-z]{2}){1,2}$/);
      }
    }),
    { numRuns: 30 },
  );
});

it("gives every relation a value of its type, never the entity itself", () => {
  const world = new World({ seed: 3, split: "train", index: 5, entitiesPerType: 24 });
  const all = [...relations, ...heldOutRelations, ...dateRelations.train, ...dateRelations.heldout];
  expect(new Set(all.map(({ name }) => name)).size).toBe(36);
  for (const relation of all)
    for (const entity of world.entities[relation.from]) {
      const value = world.value(relation.name, entity);
      if (relation.to === "number") expect(value).toBeOneOf(Array.from({ length: 90 }, (_, i) => 10 + i));
      else if (relation.to === "date") {
        expect(value).toMatch(/^(19\d\d|20[01]\d)-(0[1-9]|1[0-2])-(0[1-9]|1\d|2[0-8])$/);
      } else {
        expect(world.entities[relation.to]).toContain(value);
        expect(value).not.toBe(entity);
      }
    }
});

it("has no value for entities of another type, unknown names and unknown relations", () => {
  const world = new World({ seed: 3, split: "train", index: 5, entitiesPerType: 24 });
  expect(world.value("mayor", world.entities.person[0])).toBeUndefined();
  expect(world.value("mayor", "Nobody")).toBeUndefined();
  expect(world.value("__proto__", world.entities.town[0])).toBeUndefined();
});

it("holds out about a fifth of the names", () => {
  const random = new Random("share");
  const names = new Set(Array.from({ length: 3000 }, () => drawName(random, "train")));
  const heldOut = new Set(Array.from({ length: 3000 }, () => drawName(random, "heldout")));
  expect([...names].filter((name) => heldOut.has(name))).toEqual([]);
  // 1,600 names have two syllables; nearly all of them are drawn by now.
  const short = (set: Set<string>) => [...set].filter((name) => name.length === 4).length;
  expect(short(heldOut) / (short(heldOut) + short(names))).toBeGreaterThan(0.15);
  expect(short(heldOut) / (short(heldOut) + short(names))).toBeLessThan(0.25);
});
