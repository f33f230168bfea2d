/**
 * What applying a machine configuration does to a node: the values it gains, changes and loses, and which losses nobody asked for. All user-facing texts are
 * redacted.
 */
import { createHash } from "node:crypto";
import { configDifferences, type Difference } from "./configDiff.ts";
import { parseConfig, type Leaf, type TreeMap } from "./configTree.ts";
import { isWithin, patchScope } from "./patchScope.ts";
import { configRedactor, type ConfigRedactor } from "./redact.ts";
import type { KnownSecret } from "./secrecy/known.ts";

export interface ConfigComparison {
  /** The node's current configuration. */
  readonly running: string;
  /** The desired one, patches included. */
  readonly wanted: string;
  /** Its patches: the values they set are meant to change. */
  readonly patches: readonly string[];
  /** The one this program last applied. Values in it that `wanted` no longer has were removed on purpose. */
  readonly before?: string | undefined;
  /** Paths whose loss is accepted, including everything below. */
  readonly accepted: readonly string[];
  /** Values that must not appear in any line, whatever their names. */
  readonly hidden?: readonly KnownSecret[] | undefined;
}

export interface ConfigChanges {
  /** One line each: `+ path: value`, `~ path: old -> new`, `~ path: items in another order: 2, 1`, `- path: value`. Redacted. */
  readonly lines: readonly string[];
  /** SHA-256 of the lines before long values are shortened; redacted values contribute only their marks. */
  readonly digest: string;
  /** The lines of values that would be dropped though nobody asked for it. Redacted. */
  readonly dropped: readonly { readonly path: string; readonly line: string }[];
  /** Whether running services may restart. Values only read during installation disturb nothing. */
  readonly disturbs: boolean;
}

/** Sections that only an installation reads. */
const installOnlySections = ["machine.install", "UnattendedInstallConfig"];

/** Throws `ConfigTextError` if one of the configurations is not YAML. */
export function configChanges({
  running,
  wanted,
  patches,
  before,
  accepted,
  hidden,
}: ConfigComparison): ConfigChanges {
  const [has, gets] = [parseConfig(running), parseConfig(wanted)];
  const differences = configDifferences(has, gets);
  if (differences.length === 0) return noChanges;
  const redactor = configRedactor(wanted, { hidden }, [running]);
  const meant = patchScope(patches);
  const byHand = before === undefined ? () => true : manualChangeFilter(parseConfig(before), has);
  const line = lineFormatter(redactor, shortenText);
  const dropped = differences.filter(
    (difference) =>
      difference.change !== "gained" &&
      difference.change !== "reordered" &&
      byHand(difference) &&
      !meant(difference) &&
      !accepted.some((section) => isWithin(difference.path, section)),
  );
  return {
    lines: differences.map(line),
    digest: linesDigest(differences.map(lineFormatter(redactor, (text) => text))),
    disturbs: differences.some(({ path }) => !installOnlySections.some((section) => isWithin(path, section))),
    dropped: dropped.map((difference) => ({ path: redactor.path(difference.path), line: line(difference) })),
  };
}

function linesDigest(lines: readonly string[]): string {
  return createHash("sha256").update(JSON.stringify(lines)).digest("hex");
}

/** The result of most comparisons in a refresh. Finding the secrets of two configurations takes ten times as long as comparing them. */
const noChanges: ConfigChanges = { lines: [], digest: linesDigest([]), disturbs: false, dropped: [] };

/** Selects differences from what the node was given: values changed manually since. */
function manualChangeFilter(
  given: readonly TreeMap[],
  has: readonly TreeMap[],
): (difference: Difference) => boolean {
  const own = new Set(
    configDifferences(given, has)
      .filter(({ change }) => change !== "lost")
      .map(({ path, after }) => describePlace(path, after)),
  );
  return ({ path, before }) => own.has(describePlace(path, before));
}

function describePlace(path: string, value: Leaf | undefined): string {
  return `${path}\0${value?.text ?? ""}`;
}

const changeMarks = { gained: "+", changed: "~", lost: "-", reordered: "~" } as const;

function lineFormatter(
  redactor: ConfigRedactor,
  cut: (text: string) => string,
): (difference: Difference) => string {
  return ({ path, change, keys, kind, before, after }) => {
    const shown = (leaf: Leaf | undefined): string =>
      leaf === undefined ? "" : isEmptySection(leaf) ? leaf.text : cut(redactor.value(leaf, keys, kind));
    if (change === "reordered")
      return `${changeMarks[change]} ${redactor.path(path)}: items in another order: ${after?.text ?? ""}`;
    const values = change === "changed" ? `${shown(before)} -> ${shown(after)}` : shown(after ?? before);
    return `${changeMarks[change]} ${redactor.path(path)}: ${values}`;
  };
}

/** No scalar is written like that without quotes, so it holds no secret. */
function isEmptySection({ text, plain }: Leaf): boolean {
  return plain && (text === "{}" || text === "[]");
}

/**
 * One line per value: multi-line text is cut to its first words. Engines truncate text after 150 characters, and the end of an image's name shows its release.
 */
function shortenText(text: string): string {
  const [first = "", ...more] = text
    .trimEnd()
    .replace(/\b([0-9a-f]{8})[0-9a-f]{56}\b/g, "$1…")
    .split("\n");
  const cut = first.length > 200 ? `${first.slice(0, 200)}…` : first;
  if (more.length > 0) return `${cut} … (${more.length + 1} lines)`;
  return cut === "" ? '""' : cut;
}
