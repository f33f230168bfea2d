import * as pulumi from "@pulumi/pulumi";
import type { kubernetesNodeSchema, kubernetesUpgradeSchema } from "../talos/inputs/kubernetesUpgrade.ts";
import type { NamedResourceInputs, ResourceInputs } from "./resourceInputs.ts";
import { definedOnly, secretOnce } from "./outputs.ts";
import type { DrainArgs } from "./drainArgs.ts";
import type { NodeUpgradeArgs, RolloutPolicyArgs } from "./nodeUpgrade.ts";
import type { KubernetesHops } from "./rolloutHops.ts";
import { kubernetesReleasesBefore } from "../talos/kubernetesPath.ts";
import type { StorageGateArgs } from "./storageGateArgs.ts";
import type { Endpoints } from "../talos/endpoint.ts";
import { pinnedComponents, type KubernetesComponent } from "../talos/kubernetesImages.ts";

/** A node that takes part in the Kubernetes upgrade. */
export interface KubernetesUpgradeNode {
  /** Address of its Talos API. */
  node: string;
  role: "controlplane" | "worker";
  /** The Talos release it will run: the preview checks that it supports the desired Kubernetes. */
  talosVersion: string;
  /** Components whose image a patch sets: they are left to the patch. Absent: none. */
  pinned?: KubernetesComponent[];
}

/** The desired Kubernetes of a cluster, and the safeguards of the upgrade. */
export interface KubernetesUpgradeArgs {
  /** The release of Kubernetes, such as `v1.35.4`. Changing it upgrades the cluster, by at most one minor release unless `through` lists those in between. */
  kubernetesVersion: string;
  /** Releases to go through first if the cluster is more than one minor release behind, one per minor. Default: none; such a cluster is refused. */
  through?: string[] | undefined;
  /** Every node, by name. */
  nodes: Record<string, KubernetesUpgradeNode>;
  /** Endpoints of the nodes, as for a NodeUpgrade. Default: their own addresses. */
  endpoints?: Endpoints | undefined;
  /** Talos API credentials (role os:admin), base64 as in a talosconfig. Always a secret. */
  clientConfiguration: NodeUpgradeArgs["clientConfiguration"];
  /** For checking kubelets, draining, and the bootstrap manifests. Always a secret. */
  kubeconfig: pulumi.Input<string>;
  /** How to drain nodes whose volumes would be lost when their kubelets restart. */
  drain: DrainArgs;
  /** Whether the next node waits for storage. Default: as for a NodeUpgrade. */
  storageGate?: StorageGateArgs | undefined;
  /** Time limit for each component of a node, in seconds. */
  timeoutSeconds: number;
  /** Pull all images on all nodes before the first component changes. Default: true. */
  prePull?: boolean | undefined;
  /** Continue even if something still uses APIs that the desired release doesn't have. Default: false. */
  acceptRemovedApis?: boolean | undefined;
  /** Descriptions of the program's objects whose API the desired release doesn't have. They block an upgrade unless accepted. Default: none. */
  removedObjects?: pulumi.Input<string[] | undefined>;
  /** Windows, gates and budgets of the rollout. */
  rollout: RolloutPolicyArgs;
  /** As for a NodeUpgrade, for a change of each node's configuration. Default: no approval is required. */
  approval?: pulumi.Input<Record<string, unknown>> | undefined;
}

/**
 * The Kubernetes of a cluster. Creating it changes nothing; changing `kubernetesVersion` upgrades the cluster in the order of `talosctl upgrade-k8s`: each
 * control plane component one node at a time, the bootstrap manifests, then the kubelets. A refresh reads what runs. Deleting it leaves the cluster as it is.
 */
export class KubernetesUpgrade extends pulumi.CustomResource {
  /** The desired release; after a refresh or an unfinished upgrade, the running ones. */
  declare readonly kubernetesVersion: pulumi.Output<string>;
  /** What each node runs, by node and component: `{ cp1: { kubelet: "v1.35.4", … } }`. */
  declare readonly running: pulumi.Output<Record<string, Record<string, string>>>;
  /** What ran when the stack adopted the cluster, if that was another release. Absent once the stack has upgraded it. */
  declare readonly adopted: pulumi.Output<Record<string, Record<string, string>> | undefined>;
  /** The last upgrade: from, to, when, and each part with its seconds. Absent if there was none. */
  declare readonly timeline: pulumi.Output<Record<string, unknown> | undefined>;
  /** Why the rest of an upgrade waits, such as no open upgrade window. */
  declare readonly postponed: pulumi.Output<string | undefined>;

  constructor(name: string, args: KubernetesUpgradeArgs, opts?: pulumi.CustomResourceOptions) {
    const inputs: ResourceInputs<typeof kubernetesUpgradeSchema> & {
      nodes: NamedResourceInputs<typeof kubernetesNodeSchema>;
    } = {
      ...definedOnly(args),
      clientConfiguration: secretOnce(args.clientConfiguration),
      kubeconfig: secretOnce(args.kubeconfig),
    };
    super(
      "talos-node:index:KubernetesUpgrade",
      name,
      {
        ...inputs,
        running: undefined,
        adopted: undefined,
        postponed: undefined,
        unfinished: undefined,
        timeline: undefined,
      },
      pulumi.mergeOptions(opts, {
        additionalSecretOutputs: ["clientConfiguration", "kubeconfig"],
        hideDiffs: ["rollout", "approval"],
      }),
    );
  }
}

/** The nodes of a cluster as a KubernetesUpgrade takes them, including what their patches pin. */
export function kubernetesUpgradeNodes(
  nodes: readonly (Omit<KubernetesUpgradeNode, "node" | "pinned"> & {
    name: string;
    address: string;
    patches: string[];
  })[],
  patches: Record<"all" | KubernetesUpgradeNode["role"], string[]>,
): Record<string, KubernetesUpgradeNode> {
  return Object.fromEntries(
    nodes.map(({ name, address, role, talosVersion, patches: own }) => {
      const pinned = [...pinnedComponents([...patches.all, ...patches[role], ...own])];
      return [name, { node: address, role, talosVersion, ...(pinned.length === 0 ? {} : { pinned }) }];
    }),
  );
}

/** Components that patches pin, by node name. */
export function pinnedByName(
  nodes: Record<string, KubernetesUpgradeNode>,
): Record<string, KubernetesComponent[]> {
  return Object.fromEntries(
    Object.entries(nodes).flatMap(([name, { pinned }]) => (pinned === undefined ? [] : [[name, pinned]])),
  );
}

/** The Kubernetes releases on the way to the desired one, for nodes that go through several Talos releases. */
export function kubernetesHopsTo(
  wanted: string,
  { releases, acceptRemovedApis }: { releases: readonly string[]; acceptRemovedApis: boolean },
  nodes: Record<string, KubernetesUpgradeNode>,
): KubernetesHops {
  const pinned = pinnedByName(nodes);
  return {
    releases: [...kubernetesReleasesBefore(wanted, releases), wanted],
    ...(Object.keys(pinned).length === 0 ? {} : { pinned }),
    ...(acceptRemovedApis ? { acceptRemovedApis } : {}),
  };
}
