import { z } from "zod";
import type { Problem } from "../components/csi/problems.ts";
import { isRecord } from "../talos/values.ts";
import { settingsSchema } from "./settingsSchema.ts";
import { schemasAt } from "./schemasAt.ts";
import { pathText, type Origin, type Path } from "./secretValues.ts";

/**
 * Keys that are paths, such as `cluster.nodes[0].address`: `pulumi new` asks for single values and saves each under its own key.
 */

type Container = Record<string, unknown> | unknown[];

/** The settings with each value in its place, and a problem for each key whose place is taken or does not exist. */
interface ExpandedSettings {
  readonly config: Record<string, unknown>;
  readonly problems: Problem[];
  readonly origin: Origin | undefined;
}

/** Moves the values of keys that are paths to those paths. Settings without such keys are returned unchanged. */
export function expandFlatKeys(
  config: Record<string, unknown>,
  origin: Origin | undefined,
): ExpandedSettings {
  const flat = flatKeys(config);
  if (flat.length === 0) return { config, problems: [], origin };
  const secret = (key: string): boolean => origin?.secretKeys.has(key) === true;
  const { expanded, problems } = expandKeys(config, secret);
  if (origin === undefined) return { config: expanded, problems, origin };
  const tops = flat.filter(({ key }) => secret(key)).map(({ path }) => String(path[0]));
  return {
    config: expanded,
    problems,
    origin: {
      secretKeys: new Set([...origin.secretKeys, ...tops]),
      file: origin.file === undefined ? undefined : expandKeys(origin.file, secret).expanded,
    },
  };
}

function expandKeys(
  config: Readonly<Record<string, unknown>>,
  secret: (key: string) => boolean,
): { expanded: Record<string, unknown>; problems: Problem[] } {
  const flat = flatKeys(config);
  const keys = new Set(flat.map(({ key }) => key));
  // A copy: the caller's settings stay unchanged.
  const expanded = structuredClone(
    Object.fromEntries(Object.entries(config).filter(([key]) => !keys.has(key))),
  );
  const problems = flat.flatMap(({ key, path }): Problem[] => {
    const reason = putAt(expanded, path, secret(key) ? config[key] : asSetting(config[key], path));
    return reason === undefined ? [] : [{ path: pathText(path), reason }];
  });
  return { expanded, problems };
}

/** In their natural order: a list's first item comes before its second. */
function flatKeys(config: Readonly<Record<string, unknown>>): { key: string; path: Path }[] {
  // The schema refuses anything that is not a mapping.
  return Object.keys(isRecord(config) ? config : {})
    .flatMap((key) => {
      const path = pathOf(key);
      return path === undefined ? [] : [{ key, path }];
    })
    .sort((a, b) => a.key.localeCompare(b.key, "en", { numeric: true }));
}

function pathOf(key: string): Path | undefined {
  if (!/^[A-Za-z]\w*(?:\.[A-Za-z][\w-]*|\[\d{1,4}\])+$/.test(key)) return undefined;
  return [...key.matchAll(/([A-Za-z][\w-]*)|\[(\d+)\]/g)].map(([, name, index]) => name ?? Number(index));
}

/** @returns why the value cannot be put there. */
function putAt(config: Record<string, unknown>, path: Path, value: unknown): string | undefined {
  const last = path.length - 1;
  let inner: Container = config;
  for (const [depth, key] of path.entries()) {
    const place = pathText(path.slice(0, depth));
    if (typeof key === "number" && !Array.isArray(inner))
      return `is set as a separate key, but \`${place}\` is not a list; set it in one place only`;
    if (typeof key === "string" && Array.isArray(inner))
      return `is set as a separate key, but \`${place}\` is a list; set it in one place only`;
    const found: unknown = Object.hasOwn(inner, key) ? Reflect.get(inner, key) : undefined;
    if (typeof key === "number" && Array.isArray(inner) && key > inner.length)
      return `is set, but \`${place}[${inner.length}]\` is not; list indexes start at [0] and have no gaps`;
    if (depth === last) {
      if (found !== undefined)
        return `is set twice, as a separate key and in \`${String(path[0])}\`; remove one of them`;
      Reflect.set(inner, key, value);
      return undefined;
    }
    if (found !== undefined && !isRecord(found) && !Array.isArray(found))
      return `is set as a separate key, but \`${pathText(path.slice(0, depth + 1))}\` is a plain value; set it in one place only`;
    const next: Container = found ?? (typeof path[depth + 1] === "number" ? [] : {});
    Reflect.set(inner, key, next);
    inner = next;
  }
  return undefined;
}

/** The value of such a key is always text. It stays text where the setting is text (a node may be named `1`); elsewhere it is converted as `--path` does. */
function asSetting(value: unknown, path: Path): unknown {
  const schemas = schemasAt(settingsSchema, path);
  if (schemas.length > 0 && schemas.every(isText)) return value;
  if (value === "true" || value === "false") return value === "true";
  return typeof value === "string" && /^(?:0|-?[1-9]\d{0,14})$/.test(value) ? Number(value) : value;
}

/** The value of a top-level key, which the engine passes as text whatever it is in the stack's file. */
export function topSetting(key: string, text: string): unknown {
  // A key that is a path is converted where it is put in its place.
  return schemasAt(settingsSchema, [key]).length === 0 ? text : asSetting(text, [key]);
}

function isText(schema: z.ZodType): boolean {
  return schema instanceof z.ZodString;
}
