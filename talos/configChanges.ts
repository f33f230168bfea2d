/**
 * What becomes of a node when a machine configuration is applied to it: which values it gains, changes and loses, and which of them nobody asked
 * for. All texts for people are redacted.
 */
import { createHash } from "node:crypto";
import { configDifferences, type Difference } from "./configDiff.ts";
import { parseConfig, type Leaf, type TreeMap } from "./configTree.ts";
import { isWithin, patchScope } from "./patchScope.ts";
import { configRedactor, type ConfigRedactor } from "./redact.ts";
import type { KnownSecret } from "./secrecy/known.ts";

export interface ConfigComparison {
  /** The configuration that the node has. */
  readonly running: string;
  /** The one that it is to get, patches included. */
  readonly wanted: string;
  /** The patches in it: what they set is meant to change. */
  readonly patches: readonly string[];
  /** The one that it was given last by this program. What stands there and no longer in `wanted` was taken out on purpose. */
  readonly before?: string | undefined;
  /** Paths whose loss is accepted, with all that is below them. */
  readonly accepted: readonly string[];
  /** Values that no line shows, whatever their names. */
  readonly hidden?: readonly KnownSecret[] | undefined;
}

export interface ConfigChanges {
  /** A line each: `+ path: value`, `~ path: old -> new`, `- path: value`. Redacted. */
  readonly lines: readonly string[];
  /** SHA-256 of the lines as they are before long values are cut; of values that are redacted only their marks are in it. */
  readonly digest: string;
  /** The lines of what would be dropped though nobody asked for it. Redacted. */
  readonly dropped: readonly { readonly path: string; readonly line: string }[];
  /** Whether something that runs may restart because of it. What is only read when Talos is installed disturbs nothing. */
  readonly disturbs: boolean;
}

/** Sections that only an installation reads. */
const installOnlySections = ["machine.install", "UnattendedInstallConfig"];

/** Throws `ConfigTextError` where one of the configurations is not YAML. */
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

/** Most comparisons of a refresh. To find the secrets of two configurations takes ten times as long as to compare them. */
const noChanges: ConfigChanges = { lines: [], digest: linesDigest([]), disturbs: false, dropped: [] };

/** What the node has otherwise than it was given: a value set by hand since. */
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

const changeMarks = { gained: "+", changed: "~", lost: "-" } as const;

function lineFormatter(
  redactor: ConfigRedactor,
  cut: (text: string) => string,
): (difference: Difference) => string {
  return ({ path, change, keys, kind, before, after }) => {
    const shown = (leaf: Leaf | undefined): string =>
      leaf === undefined ? "" : isEmptySection(leaf) ? leaf.text : cut(redactor.value(leaf, keys, kind));
    const values = change === "changed" ? `${shown(before)} -> ${shown(after)}` : shown(after ?? before);
    return `${changeMarks[change]} ${redactor.path(path)}: ${values}`;
  };
}

/** No scalar is written like that without quotes, so it holds no secret. */
function isEmptySection({ text, plain }: Leaf): boolean {
  return plain && (text === "{}" || text === "[]");
}

/** A line is a line: of a text of several, the first words. Engines cut texts off after 150 letters, and the end of an image's name tells its release. */
function shortenText(text: string): string {
  const [first = "", ...more] = text
    .trimEnd()
    .replace(/\b([0-9a-f]{8})[0-9a-f]{56}\b/g, "$1…")
    .split("\n");
  const cut = first.length > 200 ? `${first.slice(0, 200)}…` : first;
  if (more.length > 0) return `${cut} … (${more.length + 1} lines)`;
  return cut === "" ? '""' : cut;
}
