import {
  configText,
  isTreeList,
  isTreeMap,
  parseTree,
  type Tree,
  type TreeMap,
} from "../../../talos/configTree.ts";
import { documentKinds, documentRule, type Line, type Shape } from "../../../talos/mergeRules.ts";
import samples from "../../unit/data/mergeSamples.json" with { type: "json" };

// Draws configurations and patches from the types of Talos's machinery. Each comes from a number, so a divergence can be reproduced.

/** A configuration and patches for it. */
export interface Sequence {
  readonly base: string;
  readonly patches: readonly string[];
}

/** The sequence for a number: for one line, with any of its document kinds. */
export function drawSequence(line: Line, seed: number): Sequence {
  return new Draw(line, seed).sequence();
}

const NAMES = ["a", "b"];
const KEYS = ["a", "b", "x.y/z"];

class Draw {
  readonly #line: Line;
  #state: number;
  /** The few fields of each type that this sequence uses, so that patches hit existing values. */
  readonly #focus = new Map<Shape, string[]>();
  readonly #leaves: Readonly<Record<string, readonly string[]>>;

  constructor(line: Line, seed: number) {
    this.#line = line;
    this.#state = (seed * 2654435761) >>> 0;
    this.#leaves = samples[line];
  }

  sequence(): Sequence {
    const others = documentKinds(this.#line).filter((kind) => kind !== "");
    const main = this.#chance(0.65);
    const kinds = [
      ...(main ? [""] : []),
      ...this.#times(main ? this.#pick([0, 0, 0, 1, 2]) : this.#pick([1, 1, 2]), () => this.#pick(others)),
    ];
    const base = this.#unique(kinds.flatMap((kind) => (this.#chance(0.85) ? [this.#document(kind)] : [])));
    if (base.length === 0) base.push(this.#document(kinds[0] ?? ""));
    const json = base.length === 1;
    const patches = this.#times(this.#pick([1, 1, 2, 2, 3, 4]), () =>
      json && this.#chance(0.2) ? this.#jsonPatch(base[0] as TreeMap) : this.#patch(kinds, base),
    );
    return { base: configText(base), patches };
  }

  /** The next number from 0 up to 1 (mulberry32). */
  #next(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let t = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  }

  #chance(probability: number): boolean {
    return this.#next() < probability;
  }

  #pick<T>(from: readonly T[]): T {
    return from[Math.floor(this.#next() * from.length)] as T;
  }

  #times<T>(count: number, make: () => T): T[] {
    return Array.from({ length: count }, make);
  }

  #unique(documents: TreeMap[]): TreeMap[] {
    const seen = new Set<string>();
    return documents.filter((document) => {
      const id = ["kind", "name"].map((key) => JSON.stringify(document.get(key) ?? "")).join();
      return !seen.has(id) && seen.add(id).size > 0;
    });
  }

  #patch(kinds: readonly string[], base: readonly TreeMap[]): string {
    const count = this.#pick([1, 1, 1, 2, 3]);
    const documents = this.#unique(
      this.#times(count, () => {
        const document = this.#document(this.#pick(kinds));
        if (this.#chance(0.1) && document.has("kind"))
          return new Map([...head(document), ["$patch", text("delete")]]);
        const same = base.find(
          (other) => configText([new Map(head(other))]) === configText([new Map(head(document))]),
        );
        let result = document;
        while (this.#chance(0.3))
          result = this.#withDelete(result, this.#chance(0.85) ? (same ?? result) : result) as TreeMap;
        return result;
      }),
    );
    return configText(documents);
  }

  #document(kind: string): TreeMap {
    const rule = documentRule(kind, this.#line);
    const content = rule === undefined ? new Map<string, Tree>() : (this.#value(rule.shape, 0) as TreeMap);
    const rest = [...content].filter(([key]) => !["apiVersion", "kind", "version"].includes(key));
    if (kind === "") {
      // A configuration needs at least one of these keys.
      const known = rest.length > 0 ? rest : [["debug", text("false")] as [string, Tree]];
      return new Map([["version", text("v1alpha1")], ...known]);
    }
    return new Map([
      ["apiVersion", text(rule?.apiVersions[0] ?? "")],
      ["kind", text(kind)],
      ...(rule?.named === true ? [["name", text(this.#pick(NAMES))] as [string, Tree]] : []),
      ...rest.filter(([key]) => key !== "name"),
    ]);
  }

  #value(shape: Shape, depth: number): Tree {
    if (shape.pointer && this.#chance(0.03)) return text(this.#pick(["null", "~"]));
    switch (shape.kind) {
      case "scalar":
        return this.#scalar(shape.type);
      case "leaf": {
        const known = this.#leaves[shape.name] ?? [];
        return parseTree(this.#pick(known))[0] ?? text("null");
      }
      case "any":
        return this.#any(depth);
      case "list":
        return this.#times(this.#pick([0, 1, 1, 2, 2, 3]), () =>
          this.#value({ ...shape.of, pointer: false }, depth + 1),
        );
      case "map": {
        const entries = this.#times(this.#pick([0, 1, 2, 2]), (): [string, Tree] => [
          this.#pick(KEYS),
          this.#value({ ...shape.of, pointer: false }, depth + 1),
        ]);
        return new Map(entries);
      }
      case "struct": {
        const entries = this.#fieldsOf(shape).flatMap((key): [string, Tree][] => {
          const field = shape.fields.get(key);
          return field !== undefined && this.#chance(0.7) ? [[key, this.#value(field.shape, depth + 1)]] : [];
        });
        return new Map(entries);
      }
    }
  }

  #fieldsOf(shape: Shape & { kind: "struct" }): string[] {
    const key = [...this.#focus.keys()].find(
      (other) => other.kind === "struct" && other.fields === shape.fields,
    );
    const known = key === undefined ? undefined : this.#focus.get(key);
    if (known !== undefined) return known;
    const all = [...shape.fields.keys()];
    const fields = [...new Set(this.#times(this.#pick([2, 3, 4, 5]), () => this.#pick(all)))];
    this.#focus.set(shape, fields);
    return fields;
  }

  #scalar(type: string): Tree {
    switch (type) {
      case "bool":
        return text(this.#pick(["true", "false", "True", "yes", "off"]));
      case "int":
        return text(this.#pick(["0", "1", "2", "0x10", "020"]));
      case "float":
        return text(this.#pick(["0", "1.5", "2"]));
      case "duration":
        return text(this.#pick(["0s", "5m", "1h30m"]));
      default:
        return this.#pick([
          text("a"),
          text("b"),
          text("c"),
          text("10.0.0.1"),
          quoted(""),
          quoted("5"),
          quoted("true"),
          quoted("two\nlines\n"),
          text("on"),
          text("0644"),
        ]);
    }
  }

  #any(depth: number): Tree {
    if (depth < 8 && this.#chance(0.35))
      return new Map(
        this.#times(this.#pick([0, 1, 2]), (): [string, Tree] => [this.#pick(KEYS), this.#any(depth + 1)]),
      );
    if (depth < 8 && this.#chance(0.3)) return this.#times(this.#pick([0, 1, 2]), () => this.#any(depth + 1));
    return this.#pick([
      text("a"),
      text("b"),
      quoted(""),
      text("0"),
      text("1"),
      text("1.5"),
      text("true"),
      text("false"),
      quoted("1"),
      text("null"),
      text("on"),
    ]);
  }

  /** The patch document, with the deletion of something in the target added. */
  #withDelete(patch: Tree, has: Tree): Tree {
    if (isTreeMap(patch) && isTreeMap(has)) {
      const keys = [...has.keys()].filter((key) => !["apiVersion", "kind", "name", "version"].includes(key));
      if (keys.length === 0) return patch;
      const key = this.#chance(0.05) ? "z" : this.#pick(keys);
      const inner = has.get(key);
      const deeper =
        inner !== undefined &&
        (isTreeMap(inner) ? inner.size > 0 && this.#chance(0.8) : isTreeList(inner) && inner.some(isTreeMap));
      const own = patch.get(key) ?? (isTreeList(inner) ? [] : new Map<string, Tree>());
      return new Map(patch).set(key, deeper ? this.#withDelete(own, inner) : deleting());
    }
    if (isTreeList(patch) && isTreeList(has)) {
      const item = this.#pick(has.filter(isTreeMap));
      const fields = item === undefined ? [] : [...item];
      const [key = "a", value = text("a")] =
        fields[0] !== undefined && this.#chance(0.7) ? fields[0] : (this.#pick(fields) ?? []);
      const which = new Map<string, Tree>(
        this.#chance(0.5)
          ? [
              [key, value],
              ["$patch", text("delete")],
            ]
          : [
              ["$patch", text("delete")],
              [key, value],
            ],
      );
      return patch.toSpliced(Math.floor(this.#next() * (patch.length + 1)), 0, which);
    }
    return deleting();
  }

  #jsonPatch(base: TreeMap): string {
    return configText([
      this.#times(this.#pick([1, 1, 2, 3]), (): Tree => {
        const op = this.#pick(["add", "add", "replace", "remove", "test", "copy", "move"]);
        const path = this.#pointer(base);
        const operation = new Map<string, Tree>([
          ["op", text(op)],
          ["path", quoted(path)],
        ]);
        if (op === "copy" || op === "move") operation.set("from", quoted(this.#pointer(base)));
        if (op === "add" || op === "replace" || op === "test") {
          const there = keysOf(path).reduce<Tree | undefined>(
            (tree, key) =>
              isTreeMap(tree) ? tree.get(key) : isTreeList(tree) ? tree[Number(key)] : undefined,
            base,
          );
          operation.set("value", there !== undefined && this.#chance(0.7) ? there : this.#any(6));
        }
        return operation;
      }),
    ]);
  }

  #pointer(tree: Tree): string {
    const into = (value: Tree): string[] => {
      if (isTreeMap(value)) {
        const key = this.#chance(0.1) || value.size === 0 ? "z" : this.#pick([...value.keys()]);
        const inner = value.get(key);
        return [key, ...(inner !== undefined && this.#chance(0.8) ? into(inner) : [])];
      }
      if (!isTreeList(value)) return [];
      const at = this.#pick(["-", "-1", ...value.keys()].map(String));
      const inner = value[Number(at)];
      return [at, ...(inner !== undefined && this.#chance(0.6) ? into(inner) : [])];
    };
    return into(tree)
      .map((key) => `/${key.replaceAll("~", "~0").replaceAll("/", "~1")}`)
      .join("");
  }
}

function keysOf(pointer: string): string[] {
  return pointer
    .split("/")
    .slice(1)
    .map((key) => key.replaceAll("~1", "/").replaceAll("~0", "~"));
}

function head(document: TreeMap): [string, Tree][] {
  return ["apiVersion", "kind", "name"].flatMap((key): [string, Tree][] => {
    const value = document.get(key);
    return value === undefined ? [] : [[key, value]];
  });
}

function text(value: string): Tree {
  return { text: value, plain: true };
}

function quoted(value: string): Tree {
  return { text: value, plain: false };
}

function deleting(): TreeMap {
  return new Map([["$patch", text("delete")]]);
}
