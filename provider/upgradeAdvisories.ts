import type { NodeUpgradeInputs } from "../talos/inputs/nodeUpgrade.ts";
import { advisories } from "../talos/advisories.ts";
import { contractOf, oldestOf, VersionError } from "../talos/version.ts";
import { installerPartsOf } from "../talos/image.ts";
import type { NodeFacts } from "./facts.ts";
import { nodeLabel } from "./inputs.ts";
import type { Properties } from "./secrets.ts";

/**
 * Known issues between two releases, one line each. The configuration's contract is unknown here; the settings report what depends on it. It is no newer than
 * either release, or the nodes would not run: on the way back, that is the desired one.
 */
export function upgradePathAdvisories(
  from: string,
  to: string,
  extensions: unknown,
  image: unknown,
): string[] {
  const names = Array.isArray(extensions) ? extensions.filter((name) => typeof name === "string") : [];
  try {
    const found = advisories({
      from,
      to,
      contract: contractOf(oldestOf([from, to])),
      extensions: names,
      ...(typeof image === "string" ? { image } : {}),
    });
    return found.map(({ text, source }) => `${text} (${source})`);
  } catch (error) {
    if (error instanceof VersionError) return []; // a custom build: nothing is known about it
    throw error;
  }
}

/**
 * Known issues of the nodes' upgrades, each once with the affected nodes.
 * @param advised what this process has already reported
 */
export function groupedAdvisories(
  due: readonly { context: { wanted: NodeUpgradeInputs }; facts: NodeFacts }[],
  advised: Set<string>,
): string[] {
  const concerned = new Map<string, string[]>();
  for (const { context, facts } of due) {
    const { name, talosVersion, extensions, image } = context.wanted;
    for (const advice of upgradePathAdvisories(facts.version, talosVersion, extensions, image)) {
      concerned.set(advice, [...(concerned.get(advice) ?? []), name]);
    }
  }
  return [...concerned].flatMap(([advice, names]) => {
    if (advised.has(advice)) return [];
    advised.add(advice);
    return [`${names.join(", ")}: ${advice}`];
  });
}

/** Why another platform or SecureBoot has no effect on a node: what it runs counts as its desired image, so nothing is installed. None otherwise. */
export function unusedVariantAdvice(before: Properties, after: Properties): string[] {
  const { name, node, talosVersion, schematicId } = after;
  if (before["runningVersion"] !== talosVersion || before["runningSchematic"] !== schematicId) return [];
  const [old, wanted] = [before["image"], after["image"]].map((image) =>
    typeof image === "string" ? installerPartsOf(image) : undefined,
  );
  if (old === undefined || wanted === undefined) return [];
  const isSamePlatform =
    old.platform === wanted.platform || old.platform === undefined || wanted.platform === undefined;
  if (isSamePlatform && old.secureBoot === wanted.secureBoot) return [];
  const label = nodeLabel({ name: String(name), node: String(node) });
  return [
    `${label} runs this release and schematic already, so ${String(after["image"])} is not installed: its platform and SecureBoot stay as they were installed until the node is upgraded or reinstalled`,
  ];
}
