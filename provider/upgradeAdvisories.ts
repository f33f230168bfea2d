import type { NodeUpgradeInputs } from "../talos/inputs/nodeUpgrade.ts";
import { advisories } from "../talos/advisories.ts";
import { contractOf, oldestOf, VersionError } from "../talos/version.ts";
import type { NodeFacts } from "./facts.ts";

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
