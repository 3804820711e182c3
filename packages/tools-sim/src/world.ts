/**
 * Synthetic worlds: towns, companies and persons with made-up names, related by 15 functions (others for
 * held-out worlds where relations are split too). A value is a
 * hash of (world, relation, entity), so nothing about it can be guessed: a policy has to look it up.
 *
 * Names are 2 (sometimes 3) syllables of consonant and vowel, one word. A name belongs to the train or to
 * the held-out split by its own hash, so the splits are disjoint whatever the seeds.
 * NOTE: scoring matches substrings, as FTRL does; a 3-syllable name may contain a 2-syllable one.
 */
import { hash, Random } from "./rng.ts";
import type { Split, WorldSpec } from "./types.ts";

/** Types of entities; each is also the argument key of every tool that looks up one. */
export const entityTypes = ["town", "company", "person"] as const;

/** One of `entityTypes`. */
export type EntityType = (typeof entityTypes)[number];

/** A function from entities of one type to entities of another, to numbers or to dates. */
export interface Relation {
  /** A noun; tool names and observation keys begin with it. */
  name: string;
  from: EntityType;
  to: EntityType | "number" | "date";
}

/** The relations of every world, unless relations are split too; then those of train worlds. */
export const relations: readonly Relation[] = [
  { name: "mayor", from: "town", to: "person" },
  { name: "twin", from: "town", to: "town" },
  { name: "sponsor", from: "town", to: "company" },
  { name: "height", from: "town", to: "number" },
  { name: "area", from: "town", to: "number" },
  { name: "founder", from: "company", to: "person" },
  { name: "seat", from: "company", to: "town" },
  { name: "rival", from: "company", to: "company" },
  { name: "size", from: "company", to: "number" },
  { name: "budget", from: "company", to: "number" },
  { name: "doctor", from: "person", to: "person" },
  { name: "home", from: "person", to: "town" },
  { name: "employer", from: "person", to: "company" },
  { name: "age", from: "person", to: "number" },
  { name: "rank", from: "person", to: "number" },
];

/**
 * Relations of held-out worlds where relations are split as well as names: the same number of each kind.
 * None contains two syllables that could be a name (a test says so), so they need no place in `reservedText`, whose
 * change would change every generated name.
 */
export const heldOutRelations: readonly Relation[] = [
  { name: "warden", from: "town", to: "person" },
  { name: "sister", from: "town", to: "town" },
  { name: "depot", from: "town", to: "company" },
  { name: "depth", from: "town", to: "number" },
  { name: "width", from: "town", to: "number" },
  { name: "chair", from: "company", to: "person" },
  { name: "port", from: "company", to: "town" },
  { name: "partner", from: "company", to: "company" },
  { name: "income", from: "company", to: "number" },
  { name: "debt", from: "company", to: "number" },
  { name: "tutor", from: "person", to: "person" },
  { name: "shelter", from: "person", to: "town" },
  { name: "school", from: "person", to: "company" },
  { name: "weight", from: "person", to: "number" },
  { name: "score", from: "person", to: "number" },
];

/** Relations to dates, which only `toolhop-like` asks about: train, then held out. */
export const dateRelations: Readonly<Record<Split, readonly Relation[]>> = {
  train: [
    { name: "opening", from: "town", to: "date" },
    { name: "launch", from: "company", to: "date" },
    { name: "birthday", from: "person", to: "date" },
  ],
  heldout: [
    { name: "charter", from: "town", to: "date" },
    { name: "audit", from: "company", to: "date" },
    { name: "wedding", from: "person", to: "date" },
  ],
};

const relationByName = new Map(
  [...relations, ...heldOutRelations, ...dateRelations.train, ...dateRelations.heldout].map((relation) => [
    relation.name,
    relation,
  ]),
);

/** The relations between entities and to numbers that a split's worlds are asked about. */
export function relationsOf(split: Split, areSplit: boolean): readonly Relation[] {
  return areSplit && split === "heldout" ? heldOutRelations : relations;
}

/** The relation of that name, or undefined. */
export function relationOf(name: string): Relation | undefined {
  return relationByName.get(name);
}

const consonants = [..."bdfklmnrtv"];
const vowels = [..."aeio"];
// Names inside these words would match goldens by accident ("time" in "timeout").
const reservedText = `${relations.map((relation) => relation.name).join(" ")} sum error timeout not found unknown tool call`;

/** The split a name belongs to: one name in five is held out. */
export function splitOfName(name: string): Split {
  return hash("name", name) % 5 === 0 ? "heldout" : "train";
}

/** A random name of a split. */
export function drawName(random: Random, split: Split): string {
  for (;;) {
    const syllables = random.chance(0.15) ? 3 : 2;
    let name = "";
    for (let i = 0; i < syllables; i++) name += random.pick(consonants) + random.pick(vowels);
    if (reservedText.includes(name)) continue;
    name = name[0].toUpperCase() + name.slice(1);
    if (splitOfName(name) === split) return name;
  }
}

/**
 * A world: names per type, and values computed on demand.
 *
 * @example
 * ```ts
 * const world = new World({ seed: 1, split: "train", index: 0, entitiesPerType: 24 });
 * typeof world.value("mayor", world.entities.town[0]); // → "string"
 * ```
 */
export class World {
  readonly spec: WorldSpec;
  readonly entities: Readonly<Record<EntityType, readonly string[]>>;
  readonly #typeOf = new Map<string, EntityType>();

  constructor(spec: WorldSpec) {
    this.spec = spec;
    const random = new Random("world", spec.seed, spec.split, spec.index);
    const draw = (type: EntityType): string[] => {
      const names: string[] = [];
      while (names.length < spec.entitiesPerType) {
        const name = drawName(random, spec.split);
        if (this.#typeOf.has(name)) continue;
        this.#typeOf.set(name, type);
        names.push(name);
      }
      return names;
    };
    this.entities = { town: draw("town"), company: draw("company"), person: draw("person") };
  }

  /**
   * Value of a relation at an entity: a name, an integer in [10, 99], a date from 1900 to 2019 (`1974-03-02`, days up to
   * 28), or undefined where it does not apply.
   */
  value(relationName: string, entity: string): string | number | undefined {
    const relation = relationOf(relationName);
    if (relation === undefined || this.#typeOf.get(entity) !== relation.from) return undefined;
    const bits = hash("value", this.spec.seed, this.spec.index, relationName, entity);
    if (relation.to === "number") return 10 + (bits % 90);
    if (relation.to === "date") {
      const days = Math.floor(bits / 120);
      const month = String(1 + (days % 12)).padStart(2, "0");
      return `${1900 + (bits % 120)}-${month}-${String(1 + (Math.floor(days / 12) % 28)).padStart(2, "0")}`;
    }
    const candidates = this.entities[relation.to].filter((name) => name !== entity);
    return candidates[bits % candidates.length];
  }
}
