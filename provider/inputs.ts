import { withDefaults } from "../talos/inputs/defaults.ts";
import { nodeUpgradeSchema, type NodeUpgradeInputs } from "../talos/inputs/nodeUpgrade.ts";
import type { Properties } from "./secrets.ts";

/** Inputs that passed `checkNodeUpgrade`, with defaults. */
export function nodeUpgradeInputs(checked: Properties): NodeUpgradeInputs {
  return withDefaults(nodeUpgradeSchema, checked);
}

/** `cp1 (127.10.0.11)` */
export function nodeLabel({ name, node }: { name: string; node: string }): string {
  return name === node ? node : `${name} (${node})`;
}
