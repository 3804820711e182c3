/**
 * The public names of a package with the documentation that stands before each, read from the text of its `index.ts`
 * and the files it names. Meant for this repository's way of writing exports (`export { a, type B } from "./file.ts"`,
 * `export * from "./file.ts"`), which is why no parser is needed.
 */
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";

/** One exported name. */
export interface PublicName {
  name: string;
  /** True for types and interfaces, which are gone at run time. */
  isType: boolean;
  /** The file that declares it. */
  file: string;
  /** The JSDoc block right before the declaration, or "". */
  doc: string;
}

const declaration =
  /^export (?:declare |abstract |async )*(function\*?|const|let|class|interface|type) ([\w$]+)/gm;

/** Every name that `index` exports, types included. */
export function publicNames(index: string): PublicName[] {
  const text = readFileSync(index, "utf8");
  const found: PublicName[] = [];
  const target = (path: string) => join(dirname(index), path);
  for (const [, all, names, path] of text.matchAll(/^export (type )?\{([^}]*)\} from "(\.[^"]+)";/gm)) {
    for (const item of names.split(",").map((n) => n.trim())) {
      if (item === "") continue;
      const [, marked, name] = /^(type )?([\w$]+)$/.exec(item) ?? [];
      if (!name) throw new Error(`${index}: can not read the export "${item}"`);
      const { file, doc } = declared(target(path), name);
      found.push({ name, isType: Boolean(all || marked), file, doc });
    }
  }
  for (const [, path] of text.matchAll(/^export \* from "(\.[^"]+)";/gm))
    found.push(...ownNames(target(path)));
  return found;
}

/** The names that a file declares itself. An overloaded function is one name, documented before its first signature. */
export function ownNames(file: string): PublicName[] {
  const text = readFileSync(file, "utf8");
  const byName = new Map<string, PublicName>();
  for (const match of text.matchAll(declaration)) {
    const [, kind, name] = match;
    if (byName.has(name)) continue;
    const isType = kind === "interface" || kind === "type";
    byName.set(name, { name, isType, file, doc: docBefore(text, match.index) });
  }
  return [...byName.values()];
}

/** Where `name`, exported by `file`, is declared: there, or in a file that it passes on. */
function declared(file: string, name: string): PublicName {
  const found = ownNames(file).find((n) => n.name === name) ?? publicNames(file).find((n) => n.name === name);
  if (!found) throw new Error(`${file} does not export ${name}`);
  return found;
}

function docBefore(text: string, at: number): string {
  const before = text.slice(0, at).trimEnd();
  if (!before.endsWith("*/")) return "";
  const doc = before.slice(before.lastIndexOf("/*"));
  // The comment at the head of a file belongs to the file.
  return doc.startsWith("/**") && doc.length < before.length ? doc : "";
}
