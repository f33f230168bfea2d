import { randomUUID } from "node:crypto";
import * as pulumi from "@pulumi/pulumi";
import { gather, definedOnly, secretOnce } from "./outputs.ts";
import type { ClusterMember } from "./clusterMembership.ts";
import type { KubernetesUpgradeArgs } from "./kubernetesUpgrade.ts";
import type { EtcdSnapshotArgs, NodeUpgradeArgs } from "./nodeUpgrade.ts";
import type { RolloutHops } from "./rolloutHops.ts";
import type { ResourceInputs, RolloutResourceInputs } from "./resourceInputs.ts";
import type { readinessSchema } from "../talos/inputs/rolloutReadiness.ts";
import type { PreflightNodeArgs } from "./rolloutPreflight.ts";
import type { KubernetesComponent } from "../talos/kubernetesImages.ts";
import type { NamedHardware } from "../talos/hardware/named.ts";
import type { ApprovedPlan } from "../talos/rolloutPlan.ts";
import type { KnownSecret } from "../talos/secrecy/known.ts";

/** All inputs have the same meaning as for a NodeUpgrade. There is no kubeconfig: a new cluster has none before its nodes are configured. */
export interface RolloutReadinessArgs extends Pick<
  NodeUpgradeArgs,
  "schematicId" | "controlPlanes" | "clientConfiguration"
> {
  /** Every node of the rollout, by name. */
  nodes: Record<string, Omit<PreflightNodeArgs, "name"> & Pick<ClusterMember, "onRemove">>;
  /** As for the preflight: a node with hops is checked for the first of them. Default: none. */
  hops?: RolloutHops;
  /** What happens to the machine of a leaving node, unless the node overrides it: shown first in the preview. */
  onRemove: "keep" | "reset";
  /** As for a NodeUpgrade. Default: each node at its own address, port 50000. */
  endpoints?: NodeUpgradeArgs["endpoints"] | undefined;
  /** The cluster's Kubernetes release, which the target Talos must support: `v1.35.4`. Default: it is not checked here. */
  kubernetesVersion?: string | undefined;
  /** Further inputs of the Kubernetes upgrade: it is refused here, before the nodes are upgraded for it. Not kept in the state. Default: nothing. */
  kubernetes?: KubernetesReadinessArgs | undefined;
  /** Time limit for checking a node, in seconds. */
  timeoutSeconds: number;
  /** Allow a step over more than one minor release, which Talos does not test. */
  allowSkew: boolean;
  /** As for a NodeUpgrade. Default: none. */
  etcdSnapshot?: EtcdSnapshotArgs | undefined;
  /** As for a NodeUpgrade. Default: false. */
  etcdDowngrade?: boolean | undefined;
  /**
   * Each node's desired machine configuration and its patches, by node name: the plan shows what it changes. Always secret; the state keeps hashes. Default: no
   * plan.
   */
  configurations?: Record<string, ConfigurationToBe> | undefined;
  /** The contract of the machine configurations: no node may get an older release. Not kept in the state. Default: unknown. */
  contract?: pulumi.Output<string> | undefined;
  /** Values that must not appear in the plan, whatever their names. Always secret. Default: none. */
  hidden?: readonly KnownSecret[] | undefined;
  /** The approved plan: if the current plan differs, nothing is done. Default: any plan is accepted. */
  approvedPlan?: ApprovedPlan | undefined;
  /** The hardware that the configurations name: the preview compares it with what the machines report. Absent: no comparison. Always a secret. */
  hardware?: HardwareArgs | undefined;
}

/** Inputs of a KubernetesUpgrade besides its nodes and release. */
export interface KubernetesReadinessArgs {
  /** Components that patches pin, by node name. Default: none. */
  pinned?: Record<string, KubernetesComponent[]> | undefined;
  /** As for a KubernetesUpgrade. Default: none. */
  through?: string[] | undefined;
  /** As for a KubernetesUpgrade. Default: false. */
  acceptRemovedApis?: boolean | undefined;
  /** As for a KubernetesUpgrade. Default: none. */
  removedObjects?: KubernetesUpgradeArgs["removedObjects"];
}

/** Checks that each configuration fits its machine. */
export interface HardwareArgs {
  /** What to do about one that doesn't fit. Default: refuse it for a machine without a configuration, warn about it on a running node. */
  check?: "refuse" | "warn" | undefined;
  /** Disks, links and selectors by node name. */
  named: Record<string, NamedHardware[]>;
}

/** A machine configuration, and the patches it contains. */
export interface ConfigurationToBe {
  text: pulumi.Output<string>;
  patches: pulumi.Output<string[]>;
}

/** What was confirmed in one run: an input of each resource that disturbs a node. */
export type ConfirmedPlan = pulumi.Output<Record<string, unknown>>;

/**
 * The read-only part of the preflight, before the first machine configuration is applied: a configuration names the node's image, so a rollout that can't start
 * must not change configurations either. It runs when a node's release or schematic changes, and changes nothing itself.
 *
 * Its preview contains the plan: what is done to each node, and a digest of that (`planDigest`). With `approvedPlan` it runs in every preview and deployment,
 * and fails before anything is changed if the plan differs.
 *
 * The preflight checks again before the first node is upgraded: by then new nodes have joined, and leaving ones have left.
 */
export class RolloutReadiness extends pulumi.CustomResource {
  /** What the last run with `approvedPlan` confirmed; undefined without one. */
  declare readonly confirmed: pulumi.Output<Record<string, unknown> | undefined>;
  /**
   * The input `approval` of the resources that disturb a node: what this run has confirmed. It is empty, which approves nothing, if this run has not checked,
   * such as with `--target`. Undefined without `approvedPlan`.
   */
  readonly approval: ConfirmedPlan | undefined;
  /** Why machines are refused, in a preview: an input of the preflight, which fails with all refusals. In a deployment it is an error at once. */
  declare readonly refused: pulumi.Output<string | undefined>;
  /** Digest of the last plan. */
  declare readonly planDigest: pulumi.Output<string | undefined>;

  constructor(name: string, args: RolloutReadinessArgs, opts?: pulumi.CustomResourceOptions) {
    // The engine's address may be reused in a later run.
    const run = args.approvedPlan === undefined ? undefined : randomUUID();
    const inputs: RolloutResourceInputs & ResourceInputs<typeof readinessSchema> = {
      ...definedOnly(args),
      ...(args.hardware === undefined ? {} : { hardware: pulumi.secret(definedOnly(args.hardware)) }),
      clientConfiguration: secretOnce(args.clientConfiguration),
      ...(args.configurations === undefined
        ? {}
        : { configurations: combineConfigurations(args.configurations) }),
      hidden:
        args.hidden === undefined || args.hidden.length === 0 ? undefined : pulumi.secret([...args.hidden]),
      ...(run === undefined ? {} : { run }),
      ...(pulumi.runtime.isDryRun() ? { preview: true } : {}),
    };
    super(
      "talos-node:index:RolloutReadiness",
      name,
      {
        ...inputs,
        refused: undefined,
        confirmed: undefined,
        planDigest: undefined,
      },
      // The preflight shows what happens to each node; leaving nodes are shown here.
      pulumi.mergeOptions(opts, { hideDiffs: ["nodes", "hops", "configurations", "plan"] }),
    );
    this.approval =
      run === undefined
        ? undefined
        : this.confirmed.apply((confirmed) => (confirmed?.["program"] === run ? confirmed : {}));
  }
}

function combineConfigurations(
  configurations: Record<string, ConfigurationToBe>,
): pulumi.Output<Record<string, { text: string; patches: string[] }>> {
  const names = Object.keys(configurations);
  const all = Object.values(configurations);
  const [texts, patches] = [gather(all.map(({ text }) => text)), gather(all.map((one) => one.patches))];
  return secretOnce(
    pulumi
      .all([texts, patches])
      .apply(([textOf, patchesOf]) =>
        Object.fromEntries(
          names.map((name, index) => [name, { text: textOf[index] ?? "", patches: patchesOf[index] ?? [] }]),
        ),
      ),
  );
}
