import type { Problem } from "../components/csi/problems.ts";
import { isSecretName } from "../talos/secrecy/names.ts";
import { isHarmlessValue } from "../talos/secrecy/shapes.ts";
import { kindOf, scalarsAt, scalarsOf, type KnownSecret } from "../talos/secrecy/known.ts";
import { isMark, secretSpans } from "../talos/secrecy/text.ts";
import { countPlainSecrets } from "../talos/redact.ts";
import { isRecord } from "../talos/values.ts";

/**
 * Settings that are secret because they were set with `--secret` or taken from the environment. And the reverse: secrets that are not marked as such.
 */

/** Where settings come from, as far as the engine and the stack's file show. */
export interface Origin {
  /** Top-level keys that contain a Pulumi secret. The engine does not say where. */
  readonly secretKeys: ReadonlySet<string>;
  /** The stack's file, without the project's prefix: plain text in it is not secret. Undefined where it cannot be read. */
  readonly file: Readonly<Record<string, unknown>> | undefined;
}

/** Values that are never shown. They exist only in memory, and in inputs that are secret as a whole. */
export interface Hidden {
  /** For machine configurations: what is secret in them, and where. */
  readonly configurations: readonly KnownSecret[];
  /** Scalars of all other settings, except names and addresses, which resource names contain. */
  readonly values: readonly string[];
}

export type Path = readonly (string | number)[];

/** A scalar of the settings. */
export interface Scalar {
  readonly path: Path;
  readonly value: string;
}

/** Every scalar below a value. */
export function scalarsIn(value: unknown, path: Path = []): Scalar[] {
  if (Array.isArray(value)) return value.flatMap((item: unknown, index) => scalarsIn(item, [...path, index]));
  if (isRecord(value))
    return Object.entries(value).flatMap(([key, inner]) => scalarsIn(inner, [...path, key]));
  if (typeof value !== "string" && typeof value !== "number" && typeof value !== "boolean") return [];
  return [{ path, value: String(value) }];
}

/** The scalars that are Pulumi secrets: all scalars of a key that has one, except those that are plain text in the stack's file. */
export function secretScalars(
  config: Readonly<Record<string, unknown>>,
  { secretKeys, file }: Origin,
): Scalar[] {
  return scalarsIn(config).filter(({ path, value }) => {
    if (!secretKeys.has(String(path[0]))) return false;
    const written = path.reduce<unknown>(
      (inner, key) =>
        typeof inner === "object" && inner !== null
          ? (inner as Record<string | number, unknown>)[key]
          : undefined,
      file,
    );
    return !scalarsIn(written).some((plain) => plain.path.length === 0 && plain.value === value);
  });
}

/** Sorts secrets by where they must be hidden. @param scalars those of `--secret` and of the environment */
export function collectHiddenValues(
  config: Readonly<Record<string, unknown>>,
  scalars: readonly Scalar[],
): Hidden {
  const configurations: KnownSecret[] = [];
  const values: string[] = [];
  for (const { path, value } of scalars) {
    if (value === "" || isWholeConfiguration(path)) continue;
    const patch = patchPathLength(path);
    if (patch !== undefined) {
      const inner = path.slice(patch);
      const whole = path
        .slice(0, patch)
        .reduce<unknown>((at, key) => (at as Record<string | number, unknown>)[key], config);
      configurations.push(
        ...(inner.length === 0 ? scalarsOf(value) : scalarsAt(value, namedPath(inner), kindOf(whole))),
      );
    } else if (!isPublic(path)) values.push(value);
  }
  return { configurations, values: [...new Set(values)] };
}

const namedPath = (path: Path): string[] => path.filter((key) => typeof key === "string");

// cluster.secrets.controlplane, cluster.nodes[0].config: set with --secret because they contain secrets, and handled as configurations.
function isWholeConfiguration(path: Path): boolean {
  return path[0] === "cluster" && (path[1] === "secrets" || (path[1] === "nodes" && path[3] === "config"));
}

/** The length of the part of a path that leads to a patch or document; undefined for other paths. */
function patchPathLength(path: Path): number | undefined {
  const at = path.findIndex((key) => key === "patches" || key === "documents");
  if (path[0] !== "cluster" || at < 0) return undefined;
  return at + (path[1] === "nodes" || path[1] === "pools" ? 2 : 3);
}

/** Does the setting name or address something? Resource names, IDs and images contain it, so it cannot be hidden. */
function isPublic(path: Path): boolean {
  const [section, key] = path;
  const last = namedPath(path).at(-1) ?? "";
  if (path.length === 1) return true;
  if (section === "image") return key !== "schematic";
  if (section === "images") return path[2] !== "schematic";
  if (section === "cluster" || section === "upgrade" || section === "snapshotController") return true;
  return (
    ["image", "images", "registry", "namespace", "imagePullSecrets"].includes(String(key)) ||
    /^(?:name|image|className|namespace)$/.test(last)
  );
}

/** Secrets that are plain text in their source. @param config with marks in place of values that are not */
export function findPlainSecrets(config: Readonly<Record<string, unknown>>): Scalar[] {
  return scalarsIn(config).filter(({ path, value }) => {
    if (value === "" || isMark(value) || isHarmlessValue(value)) return false;
    const name = namedPath(path).at(-1) ?? "";
    if (isWholeConfiguration(path)) return !name.endsWith("File");
    if (patchPathLength(path) !== undefined && /\n|^\s*[[{]|:\s/.test(value) && countPlainSecrets(value) > 0)
      return true;
    if (path.some((key) => key === "imagePullSecrets" || key === "acceptDropped")) return false;
    if (patchPathLength(path) !== undefined && /^(?:contents?)$/.test(name))
      return countPlainSecrets(value) > 0 || secretSpans(value).length > 0;
    return isSecretName(name) || secretSpans(value, /^(?:environment|env)$/i.test(name)).length > 0;
  });
}

/** Problems for plain-text secrets, with the command that fixes them. */
export function plainSecretProblems(scalars: readonly Scalar[]): Problem[] {
  return scalars.map(({ path }) => {
    const place = pathText(path);
    return {
      path: place,
      code: "plain-secret",
      reason: `is a plain-text secret: set it with \`pulumi config set --secret --path '${place}'\`, or take it from the environment (fromEnvironment). Rotate it as well, since anyone who can read the file knows it`,
    };
  });
}

export function pathText(path: Path): string {
  return path.reduce<string>((text, key) => {
    if (typeof key === "number") return `${text}[${key}]`;
    if (!/^[A-Za-z_][\w-]*$/.test(key)) return `${text}[${JSON.stringify(key)}]`;
    return text === "" ? key : `${text}.${key}`;
  }, "");
}

/** A copy of the settings with some scalars replaced. */
export function replaceScalars(config: unknown, scalars: readonly Scalar[], by: string): unknown {
  const places = new Set(scalars.map(({ path }) => JSON.stringify(path)));
  const copy = (value: unknown, path: Path): unknown => {
    if (Array.isArray(value)) return value.map((item: unknown, index) => copy(item, [...path, index]));
    if (isRecord(value))
      return Object.fromEntries(
        Object.entries(value).map(([key, inner]) => [key, copy(inner, [...path, key])]),
      );
    return places.has(JSON.stringify(path)) ? by : value;
  };
  return copy(config, []);
}

/** A message with these values replaced. Whatever looks like a release or an IP address stays, because the message is about it. */
export function withoutValues(text: string, scalars: readonly Scalar[]): string {
  return scalars
    .map(({ value }) => value)
    .filter((value) => value.length > 3 && !/^(?:v?\d[\d.]*(?:-[a-z]+\.\d+)?|true|false)$/.test(value))
    .sort((a, b) => b.length - a.length)
    .reduce((rest, value) => rest.replaceAll(value, "[secret]"), text);
}
