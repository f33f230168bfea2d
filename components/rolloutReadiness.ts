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
  /** As for a NodeUpgrade. Default: each node at its own address, port 50000. */
  endpoints?: NodeUpgradeArgs["endpoints"] | undefined;
  /** The cluster's Kubernetes release, which the target Talos must support: `v1.35.4`. Default: it is not checked here. */
  kubernetesVersion?: string | undefined;
  /** What the upgrade of Kubernetes has beside: it is refused here, before the nodes are upgraded for it. The state does not keep it. Default: nothing. */
  kubernetes?: KubernetesReadinessArgs | undefined;
  /** How long the look at a node may take, in seconds. */
  timeoutSeconds: number;
  /** Allow a step over more than one minor release, which Talos does not test. */
  allowSkew: boolean;
  /** As for a NodeUpgrade. Default: none. */
  etcdSnapshot?: EtcdSnapshotArgs | undefined;
  /** As for a NodeUpgrade. Default: false. */
  etcdDowngrade?: boolean | undefined;
  /** The machine configuration that each node is to have, and the patches in it, by its name: the plan has what it changes. Always secret; the state keeps hashes. Default: no plan. */
  configurations?: Record<string, ConfigurationToBe> | undefined;
  /** The contract of the machine configurations: no node may get an older release. Not kept in the state. Default: not known. */
  contract?: pulumi.Output<string> | undefined;
  /** Values that no line of the plan shows, whatever their names. Always secret. Default: none. */
  hidden?: readonly KnownSecret[] | undefined;
  /** The plan that was approved: if another one would be carried out, nothing is. Default: any plan is. */
  approvedPlan?: ApprovedPlan | undefined;
  /** What the configurations name of their machines: the preview holds it against what the machines report. Absent: it does not. Always a secret. */
  hardware?: HardwareArgs | undefined;
}

/** What a KubernetesUpgrade has beside its nodes and release. */
export interface KubernetesReadinessArgs {
  /** Components that patches pin, by the nodes' names. Default: none. */
  pinned?: Record<string, KubernetesComponent[]> | undefined;
  /** As for a KubernetesUpgrade. Default: none. */
  through?: string[] | undefined;
  /** As for a KubernetesUpgrade. Default: false. */
  acceptRemovedApis?: boolean | undefined;
  /** As for a KubernetesUpgrade. Default: none. */
  removedObjects?: KubernetesUpgradeArgs["removedObjects"];
}

/** Does the configuration fit the machine? */
export interface HardwareArgs {
  /** What to do with one that does not. Default: refuse it for a machine without a configuration, warn of it on a running node. */
  check?: "refuse" | "warn" | undefined;
  /** Disks, links and selectors by the nodes' names. */
  named: Record<string, NamedHardware[]>;
}

/** A machine configuration, and the patches in it. */
export interface ConfigurationToBe {
  text: pulumi.Output<string>;
  patches: pulumi.Output<string[]>;
}

/** What was confirmed in one run: an input of each resource that disturbs a node. */
export type ConfirmedPlan = pulumi.Output<Record<string, unknown>>;

/**
 * The part of the preflight that only reads, before the first machine configuration is applied: a configuration names the image that its node is to run, so
 * a rollout that cannot begin is to change no configuration either. It looks when the release or the schematic of a node changes, and changes nothing itself.
 *
 * Its preview has the plan: what is done to each node, and a digest of that (`planDigest`). With `approvedPlan` it looks in every preview and deployment, and fails
 * before anything is changed if the plan is another one.
 *
 * The preflight looks again before the first node is upgraded: nodes that are new have joined by then, and those that leave have left.
 */
export class RolloutReadiness extends pulumi.CustomResource {
  /** What the last run with `approvedPlan` has confirmed; undefined without one. */
  declare readonly confirmed: pulumi.Output<Record<string, unknown> | undefined>;
  /**
   * The input `approval` of the resources that disturb a node: what this run has confirmed. It is empty, which approves nothing, where this run has not looked,
   * such as with `--target`. Undefined without `approvedPlan`.
   */
  readonly approval: ConfirmedPlan | undefined;
  /** Why machines are refused, in a preview: an input of the preflight, which fails with all that is refused. In a deployment it is an error at once. */
  declare readonly refused: pulumi.Output<string | undefined>;
  /** Digest of the plan when it was last made. */
  declare readonly planDigest: pulumi.Output<string | undefined>;

  constructor(name: string, args: RolloutReadinessArgs, opts?: pulumi.CustomResourceOptions) {
    // The engine's address may come again in a later run.
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
      // The preflight shows what happens to each node; who leaves is shown here.
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
