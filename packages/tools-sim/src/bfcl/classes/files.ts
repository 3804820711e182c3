/**
 * GorillaFileSystem: a tree of directories and files with shell-like functions that work in the current directory. The
 * tree is kept as the configuration writes it (`{type: "directory", contents}`, `{type: "file", content}`), since that is
 * what the state check compares; the current directory is not compared.
 */
import { fixed } from "../../python/numbers.ts";
import { deepCopy, dict, type PyDict, type PyValue, truthy } from "../../python/values.ts";
import type { SimulatorClass, SimulatorContext } from "../simulator.ts";
import { attributes, dictOf, intOf, listOf, textOf } from "./config.ts";

const failure = (message: string) => dict({ error: message });
const isDirectory = (node: PyValue | undefined): node is PyDict =>
  node instanceof Map && node.get("type") === "directory";
const contentsOf = (directory: PyDict) => dictOf(directory.get("contents"));
const directory = () => dict({ type: "directory", contents: new Map() });
const file = (content: string) => dict({ type: "file", content });

/** Most files and directories, and most directories in one another: calls that copy a tree into itself double it. */
const most = { entries: 20_000, depth: 250 };

/** Entries of a tree, itself included, and how deep they lie; counting ends beyond the bounds. */
function extent(node: PyValue): { entries: number; depth: number } {
  const total = { entries: 1, depth: 1 };
  if (!isDirectory(node)) return total;
  for (const child of contentsOf(node).values()) {
    const { entries, depth } = extent(child);
    total.entries += entries;
    total.depth = Math.max(total.depth, depth + 1);
    if (total.entries > most.entries) break;
  }
  return total;
}

/** Python's `str.splitlines`, without its rarer line ends (separators of files, groups and records). */
function lines(text: string): string[] {
  const all = text.split(/\r\n|[\n\r\v\f\u0085\u2028\u2029]/);
  return all.at(-1) === "" ? all.slice(0, -1) : all;
}
/** Python's `len`: code points. */
const length = (text: string) => BigInt([...text].length);

/** Filler of the category `long_context`: text after most files, thirty empty files in each innermost directory. */
function lengthen(node: PyDict, { filler }: SimulatorContext): void {
  const short = listOf(filler.get("FILES_TAIL_USED"));
  const contents = contentsOf(node);
  let innermost = true;
  for (const [name, child] of contents) {
    if (isDirectory(child)) {
      innermost = false;
      lengthen(child, { filler } as SimulatorContext);
    } else if (!short.includes(name as PyValue)) {
      const entry = dictOf(child);
      entry.set("content", textOf(entry.get("content")) + textOf(filler.get("FILE_CONTENT_EXTENSION")));
    }
  }
  if (innermost)
    for (const name of listOf(filler.get("POPULATE_FILE_EXTENSION"))) contents.set(textOf(name), file(""));
}

export const files: SimulatorClass = (config, context) => {
  const state = attributes(["root"], config, context);
  const tree = dictOf(state.get("root"));
  // Only the first entry of the configured tree is mounted; it is the root directory.
  const [rootName, rootNode] = [...tree][0] ?? ["/", directory()];
  const root = dictOf(rootNode);
  state.set("root", new Map([[rootName, root]]));
  state.set("long_context", context.longContext);
  if (context.longContext) lengthen(root, context);
  /** Names and directories from the root to the current directory. */
  const path: { name: string; node: PyDict }[] = [{ name: String(rootName), node: root }];
  const here = () => contentsOf(path[path.length - 1].node);

  const read = (command: string, name: PyValue): string | PyDict => {
    const node = here().get(textOf(name));
    if (node === undefined) return failure(`${command}: ${textOf(name)}: No such file or directory`);
    if (isDirectory(node)) return failure(`${command}: ${textOf(name)}: Is a directory`);
    return textOf(dictOf(node).get("content"));
  };
  /** Applies `f` to a file's text, or hands through the reason why there is none. */
  const withText = (command: string, name: PyValue, f: (text: string) => PyValue): PyValue => {
    const text = read(command, name);
    return typeof text === "string" ? f(text) : text;
  };
  const create = (command: string, name: PyValue, node: PyDict): PyValue => {
    const plain = textOf(name);
    if (here().has(plain)) return failure(`${command}: cannot create '${plain}': File exists`);
    if (plain === "" || plain.includes("/")) {
      return failure(`${command}: cannot create '${plain}': names are local to the current directory`);
    }
    if (path.length >= most.depth) return failure(`${command}: cannot create '${plain}': nested too deep`);
    here().set(plain, node);
    return null;
  };
  /** Where `mv` and `cp` put something: into a directory of that name, or under the new name. */
  const target = (command: string, source: string, destination: string) => {
    const refuse = (reason: string) => ({
      error: failure(`${command}: cannot ${command} '${source}': ${reason}`),
    });
    const node = here().get(source);
    if (node === undefined) return refuse("No such file or directory");
    if (destination.includes("/"))
      return refuse(`the destination '${destination}' is a path, use a local name`);
    const place = here().get(destination);
    if (isDirectory(place)) {
      if (place === node || contentsOf(place).has(source))
        return refuse(`'${destination}/${source}' can not be replaced`);
      if (path.length + 1 + extent(node).depth > most.depth) return refuse("nested too deep");
      return { node, contents: contentsOf(place), name: source, shown: `${destination}/${source}` };
    }
    if (place !== undefined) return refuse(`'${destination}' is a file already`);
    return { node, contents: here(), name: destination, shown: destination };
  };
  const walk = (from: PyDict, shown: string, name: string | undefined): PyValue[] => {
    const found: PyValue[] = [];
    for (const [entry, node] of contentsOf(from)) {
      const at = `${shown}/${entry}`;
      if (name === undefined || String(entry).includes(name)) found.push(at);
      if (isDirectory(node)) found.push(...walk(node, at, name));
    }
    return found;
  };
  const bytes = (node: PyDict): number => {
    let total = 0;
    for (const child of contentsOf(node).values()) {
      total += isDirectory(child) ? bytes(child) : Buffer.byteLength(textOf(dictOf(child).get("content")));
    }
    return total;
  };
  /** The directory that a path of names leads to, from here or, with a leading slash, from the root. */
  const navigate = (where: string): PyDict | undefined => {
    let at: PyDict[] = where.startsWith("/") ? [root] : path.map(({ node }) => node);
    for (const part of where.split("/").filter((p) => p !== "" && p !== ".")) {
      if (part === "..") at = at.length > 1 ? at.slice(0, -1) : at;
      else {
        const next = contentsOf(at[at.length - 1]).get(part);
        if (!isDirectory(next)) return undefined;
        at.push(next);
      }
    }
    return at[at.length - 1];
  };

  return {
    state,
    functions: {
      pwd: () => dict({ current_working_directory: `/${path.map(({ name }) => name).join("/")}` }),
      ls: ({ a }) =>
        dict({
          current_directory_content: [...here().keys()].filter(
            (name) => truthy(a) || !String(name).startsWith("."),
          ),
        }),
      cd: ({ folder }) => {
        const name = textOf(folder);
        if (name === "..") {
          if (path.length === 1)
            return failure("cd: the current directory is the root, there is nothing above it");
          path.pop();
          return new Map();
        }
        const node = here().get(name);
        if (!isDirectory(node)) {
          return failure(`cd: ${name}: No such directory. Only one level at a time, no path.`);
        }
        path.push({ name, node });
        return dict({ current_working_directory: name });
      },
      mkdir: ({ dir_name }) => create("mkdir", dir_name, directory()),
      touch: ({ file_name }) => create("touch", file_name, file("")),
      echo: ({ content, file_name }) => {
        if (file_name === null) return dict({ terminal_output: content });
        const node = here().get(textOf(file_name));
        if (isDirectory(node)) return failure(`echo: ${textOf(file_name)}: Is a directory`);
        if (node === undefined)
          return failure(`echo: ${textOf(file_name)}: No such file. Make it with touch first.`);
        dictOf(node).set("content", textOf(content));
        return null;
      },
      cat: ({ file_name }) => withText("cat", file_name, (text) => dict({ file_content: text })),
      find: ({ path: where, name }) => {
        const from = navigate(textOf(where));
        if (!from) return failure(`find: '${textOf(where)}': No such directory`);
        let shown = textOf(where);
        while (shown.endsWith("/")) shown = shown.slice(0, -1);
        return dict({ matches: walk(from, shown, name === null ? undefined : textOf(name)) });
      },
      wc: ({ file_name, mode }) =>
        withText("wc", file_name, (text) => {
          if (mode === "l") return dict({ count: BigInt(lines(text).length), type: "lines" });
          if (mode === "w")
            return dict({ count: BigInt(text.split(/\s+/u).filter(Boolean).length), type: "words" });
          if (mode === "c") return dict({ count: length(text), type: "characters" });
          return failure(`wc: invalid mode '${textOf(mode)}', use l, w or c`);
        }),
      sort: ({ file_name }) =>
        withText("sort", file_name, (text) =>
          dict({ sorted_content: lines(text).sort(byCodePoint).join("\n") }),
        ),
      grep: ({ file_name, pattern }) =>
        withText("grep", file_name, (text) =>
          dict({ matching_lines: lines(text).filter((line) => line.includes(textOf(pattern))) }),
        ),
      tail: ({ file_name, lines: count }) =>
        withText("tail", file_name, (text) => {
          const all = lines(text);
          const wanted = intOf(count);
          const kept = wanted <= 0n ? [] : all.slice(-Number(wanted < 1_000_000n ? wanted : 1_000_000n));
          return dict({ last_lines: kept.join("\n") });
        }),
      diff: ({ file_name1, file_name2 }) =>
        withText("diff", file_name1, (first) =>
          withText("diff", file_name2, (second) => {
            const [a, b] = [lines(first), lines(second)];
            // Lines are paired by place; what one file has beyond the other is not shown.
            const pairs = a.slice(0, b.length).map((line, i) => [line, b[i]]);
            const shown = pairs.filter(([x, y]) => x !== y).map(([x, y]) => `- ${x}\n+ ${y}`);
            return dict({ diff_lines: shown.join("\n") });
          }),
        ),
      du: ({ human_readable }) => {
        let size = bytes(path[path.length - 1].node);
        if (!truthy(human_readable)) return dict({ disk_usage: `${size} bytes` });
        const units = ["B", "KB", "MB", "GB", "TB"];
        let unit = 0;
        for (; size >= 1024 && unit < units.length - 1; unit++) size /= 1024;
        return dict({ disk_usage: `${fixed(size, 2)} ${units[unit]}` });
      },
      mv: ({ source, destination }) => {
        const from = textOf(source);
        const to = target("mv", from, textOf(destination));
        if ("error" in to) return to.error;
        here().delete(from);
        to.contents.set(to.name, to.node);
        return dict({ result: `'${from}' moved to '${to.shown}'` });
      },
      cp: ({ source, destination }) => {
        const from = textOf(source);
        const to = target("cp", from, textOf(destination));
        if ("error" in to) return to.error;
        if (extent(root).entries + extent(to.node).entries > most.entries)
          return failure(`cp: cannot cp '${from}': No space left`);
        to.contents.set(to.name, deepCopy(to.node));
        return dict({ result: `'${from}' copied to '${to.shown}'` });
      },
      rm: ({ file_name }) => {
        const name = textOf(file_name);
        if (!here().delete(name)) return failure(`rm: cannot remove '${name}': No such file or directory`);
        return dict({ result: `'${name}' removed` });
      },
      rmdir: ({ dir_name }) => {
        const name = textOf(dir_name);
        const node = here().get(name);
        if (!isDirectory(node)) return failure(`rmdir: cannot remove '${name}': No such directory`);
        if (contentsOf(node).size > 0) return failure(`rmdir: cannot remove '${name}': Directory not empty`);
        here().delete(name);
        return dict({ result: `'${name}' removed` });
      },
    },
  };
};

/** Python orders strings by code point, JavaScript by UTF-16 unit. */
function byCodePoint(a: string, b: string): number {
  const [x, y] = [[...a], [...b]];
  for (let i = 0; i < Math.min(x.length, y.length); i++) {
    if (x[i] !== y[i]) return x[i].codePointAt(0)! - y[i].codePointAt(0)!;
  }
  return x.length - y.length;
}
