import * as pulumi from "@pulumi/pulumi";
import { planUpgradeLanes, groupWorkers } from "../talos/lanes.ts";
import { formatMembers, formatNames, formatEndpoints } from "../talos/rolloutMembers.ts";
import type { RolloutPolicyArgs } from "./nodeUpgrade.ts";
import type { RollingUpgradeArgs, RollingUpgradeNode } from "./rollingUpgrade.ts";

/** How a rollout proceeds, for each node and for resources that read all of them. */
interface RolloutPolicy {
  /** The policy for this node: its group, and with windows every node. */
  of(node: RollingUpgradeNode): RolloutPolicyArgs;
  ofAll(): RolloutPolicyArgs;
}

/** The policy of a rollout. Control planes have no budget: they go one at a time. */
export function rolloutPolicy(args: RollingUpgradeArgs): RolloutPolicy {
  const { nodes, maxUnavailableWorkers, pools } = args;
  const ordered = planUpgradeLanes(nodes, maxUnavailableWorkers, pools).map(({ node }) => node);
  const groups = groupWorkers(nodes, maxUnavailableWorkers, pools).map(
    ({ pool, nodes: workers, maxUnavailable }) => ({
      workers,
      names: formatNames(workers.map(({ name }) => name)),
      budget: {
        group: pool === undefined ? "workers" : `workers in pool ${pool}`,
        setting:
          pool === undefined || pools?.[pool]?.maxUnavailable === undefined
            ? "upgrade.workers.maxUnavailable"
            : `upgrade.pools.${pool}.maxUnavailable`,
        maxUnavailable,
      },
    }),
  );
  const groupOf = new Map(groups.flatMap((group) => group.workers.map(({ name }) => [name, group] as const)));
  const { windows = [], outsideWindow = "stop", gates = [] } = args;
  const text = memberTextMaker(args.schematicId);
  const shared = { windows, outsideWindow, gates };
  // A node's own inputs have its endpoints and those of the control planes.
  const ways = (listed: readonly RollingUpgradeNode[]): { endpoints?: string } => {
    if (args.endpoints === undefined) return {};
    const workers = listed.filter(({ role }) => role === "worker").map(({ address }) => address);
    const endpoints = formatEndpoints(args.endpoints, workers);
    return endpoints === "" ? {} : { endpoints };
  };
  return {
    of(node) {
      const group = groupOf.get(node.name);
      if (windows.length === 0) {
        const budgets = group === undefined ? [] : [group.budget];
        const listed = group?.workers ?? [];
        return {
          ...{ nodes: group === undefined ? "" : text(listed, node), budgets },
          ...{ ...shared, ...ways(listed) },
        };
      }
      const budgets = group === undefined ? [] : [{ ...group.budget, nodes: group.names }];
      return { nodes: text(ordered, node), budgets, ...shared, ...ways(ordered) };
    },
    ofAll() {
      const budgets = groups.map(({ budget, names }) => ({ ...budget, nodes: names }));
      return { nodes: text(ordered, undefined), budgets, ...shared };
    },
  };
}

/** Creates the text of a node list, once for all nodes with the same target; in full if it belongs to no single node. */
function memberTextMaker(schematicId: pulumi.Input<string>) {
  const made = new Map<readonly RollingUpgradeNode[], Map<string, Map<unknown, pulumi.Output<string>>>>();
  return (nodes: readonly RollingUpgradeNode[], own: RollingUpgradeNode | undefined) => {
    const [version, schematic] = [
      own?.talosVersion ?? "",
      own === undefined ? "" : (own.schematicId ?? schematicId),
    ];
    const ofNodes = getOrCreate(made, nodes, () => new Map<string, Map<unknown, pulumi.Output<string>>>());
    const ofVersion = getOrCreate(ofNodes, version, () => new Map<unknown, pulumi.Output<string>>());
    return getOrCreate(ofVersion, schematic, () =>
      pulumi
        .all([schematic, pulumi.all(nodes.map((node) => node.schematicId ?? schematicId))])
        .apply(([ownSchematic, schematics]) =>
          formatMembers(
            nodes.map(({ name, address, talosVersion }, index) => ({
              name,
              node: address,
              talosVersion,
              schematicId: schematics[index] ?? ownSchematic,
            })),
            { talosVersion: version, schematicId: ownSchematic },
          ),
        ),
    );
  };
}

function getOrCreate<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  const value = map.get(key) ?? make();
  map.set(key, value);
  return value;
}
