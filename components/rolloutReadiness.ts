import * as pulumi from "@pulumi/pulumi";
import type { ClusterMember } from "./clusterMembership.ts";
import type { EtcdSnapshotArgs, NodeUpgradeArgs } from "./nodeUpgrade.ts";
import type { RolloutHops } from "./rolloutHops.ts";
import type { PreflightNodeArgs } from "./rolloutPreflight.ts";
import type { NamedHardware } from "../talos/hardware/named.ts";

/** All inputs mean what they mean for a NodeUpgrade. There is no kubeconfig yet: a new cluster has none before its nodes are configured. */
export interface RolloutReadinessArgs extends Pick<
  NodeUpgradeArgs,
  "schematicId" | "controlPlanes" | "clientConfiguration"
> {
  /** Every node of the rollout, by its name. */
  nodes: Record<string, Omit<PreflightNodeArgs, "name"> & Pick<ClusterMember, "onRemove">>;
  /** As for the preflight: a node with hops before it is looked at for the first of them. Default: none. */
  hops?: RolloutHops;
  /** What happens to the machine of a node that leaves, unless the node says otherwise: shown first in the preview. */
  onRemove: "keep" | "reset";
  endpoints?: NodeUpgradeArgs["endpoints"] | undefined;
  kubernetesVersion?: string | undefined;
  timeoutSeconds: number;
  allowSkew: boolean;
  etcdSnapshot?: EtcdSnapshotArgs | undefined;
  etcdDowngrade?: boolean | undefined;
  /** What the configurations name of their machines: the preview holds it against what the machines report. Absent: it does not. Always a secret. */
  hardware?: HardwareArgs | undefined;
}

/** Does the configuration fit the machine? */
export interface HardwareArgs {
  /** What to do with one that does not. Default: refuse it for a machine without a configuration, warn of it on a running node. */
  check?: "refuse" | "warn" | undefined;
  /** Disks, links and selectors by the nodes' names. */
  named: Record<string, NamedHardware[]>;
}

/**
 * The part of the preflight that only reads, before the first machine configuration is applied: a configuration names the image that its node is to run, so
 * a rollout that cannot begin is to change no configuration either. It looks when the release or the schematic of a node changes, and changes nothing itself.
 *
 * The preflight looks again before the first node is upgraded: nodes that are new have joined by then, and those that leave have left.
 */
export class RolloutReadiness extends pulumi.CustomResource {
  constructor(name: string, args: RolloutReadinessArgs, opts?: pulumi.CustomResourceOptions) {
    super(
      "talos-node:index:RolloutReadiness",
      name,
      // Draining needs a kubeconfig, and is for later.
      {
        ...onlyGiven(args),
        ...(args.hardware === undefined ? {} : { hardware: pulumi.secret(onlyGiven(args.hardware)) }),
        clientConfiguration: pulumi.secret(args.clientConfiguration),
        drain: { enabled: false },
      },
      // The preflight shows what happens to each node; who leaves is shown here.
      pulumi.mergeOptions(opts, { hideDiffs: ["nodes", "hops"] }),
    );
  }
}

/** Without what is not given: an input that is undefined is an input. */
function onlyGiven<T extends object>(args: T): T {
  return Object.fromEntries(Object.entries(args).filter(([, value]) => value !== undefined)) as T;
}
