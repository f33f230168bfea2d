import * as pulumi from "@pulumi/pulumi";
import type { DrainArgs } from "./drainArgs.ts";
import type { StorageGateArgs } from "./storageGateArgs.ts";
import {
  NodeUpgrade,
  type EtcdSnapshot,
  type EtcdSnapshotArgs,
  type NodeUpgradeArgs,
  type RolloutGate,
} from "./nodeUpgrade.ts";
import { withoutStackTraces } from "./stackTraces.ts";
import { gather, secretOnce } from "./outputs.ts";
import { rolloutHops, type KubernetesHops, type NodeHops } from "./rolloutHops.ts";
import { RolloutPreflight } from "./rolloutPreflight.ts";
import type { ConfirmedPlan } from "./rolloutReadiness.ts";
import type { IscsiRequirements } from "../talos/iscsi.ts";
import { rolloutPolicy } from "./rolloutPolicy.ts";
import { planUpgradeLanes, type PoolRollout } from "../talos/lanes.ts";
import { endpointsFor, type Endpoints } from "../talos/endpoint.ts";
import type { UpgradeWindow } from "../talos/upgradeWindows.ts";

/** A node of the rollout: what is its own; the rest is shared by all nodes. */
export interface RollingUpgradeNode {
  /** Name of the node, as in the settings. */
  name: string;
  /** Address of its Talos API. */
  address: string;
  /** Control planes go first, one at a time. */
  role: "controlplane" | "worker";
  /** The Talos release it is to run, such as `v1.13.9`. */
  talosVersion: string;
  /** The installer image of that release and schematic. */
  image: pulumi.Input<string>;
  /** Its schematic. Default: that of the rollout. */
  schematicId?: pulumi.Input<string> | undefined;
  /** What the settings call its image, for the preview: `gpu`. Default: images are not named. */
  imageName?: string | undefined;
  /** Releases to take it through first where it is more than one minor release behind. Default: none; such a node is refused. */
  way?: NodeHops | undefined;
  /** The pool it is in, whose budget and order are its own. Default: none. */
  pool?: string | undefined;
  /** What must be there afterwards: extensions, services, files. */
  requirements: IscsiRequirements;
}

/** A node after the rollout, for people and for the programs that come after this one. */
export interface RollingUpgradeRow {
  /** Address of its Talos API. */
  address: string;
  /** Its part in the cluster. */
  role: "controlplane" | "worker";
  /** Talos release that runs. */
  version: string;
  /** Schematic of the image that runs; empty for an image that no factory made. */
  schematic: string;
  /** Extensions of the image that runs. */
  extensions: string[];
  /** Services that run. */
  services: string[];
  /** iSCSI qualified name to allow on the array; absent without iscsi-tools. */
  initiatorName: string | undefined;
}

/** The nodes of a cluster, what each is to run, and how careful the rollout is. */
export interface RollingUpgradeArgs {
  /** All nodes of the cluster. Their order is the order of the rollout within each role. */
  nodes: RollingUpgradeNode[];
  /** Where nodes are reached, as for a NodeUpgrade. Default: at their own addresses. */
  endpoints?: Endpoints | undefined;
  /** What has to be done before the first node may be touched, such as the machine configurations of all. */
  after: pulumi.Resource[];
  /** Schematic that every node is to run that has none of its own. */
  schematicId: pulumi.Input<string>;
  /** Talos API credentials (role os:admin), base64 as in a talosconfig. */
  clientConfiguration: NodeUpgradeArgs["clientConfiguration"];
  /** Kubeconfig for drain, uncordon and the Ready check. */
  kubeconfig?: pulumi.Input<string> | undefined;
  /** The cluster's Kubernetes release; the target Talos must support it. */
  kubernetesVersion?: string | undefined;
  /** How Kubernetes is upgraded where nodes with a `way` need it. Default: it is not. */
  kubernetesHops?: KubernetesHops | undefined;
  /** Draining before an upgrade, and how many seconds pods and volumes have to leave; a cluster of one node is never drained. */
  drain: DrainArgs;
  /** Whether the next node waits for storage. Default: where a driver of this program is registered, for 300 seconds. */
  storageGate?: StorageGateArgs | undefined;
  /** How many workers at once: a number, or a percentage such as `25%` (rounded down, at least one). */
  maxUnavailableWorkers: number | string;
  /** Budget and order of a pool's workers, by its name. Default: `maxUnavailableWorkers`, and 0. */
  pools?: Record<string, PoolRollout> | undefined;
  /** How long each step of a node may take, in seconds. */
  timeoutSeconds: number;
  /** Allow a step over more than one Talos minor release. */
  allowSkew: boolean;
  /** Fetch the image on all nodes before the first is drained. */
  prePull: boolean;
  /** Take a snapshot of etcd before the first control plane is disturbed. Default: none. */
  etcdSnapshot?: EtcdSnapshotArgs | undefined;
  /** Let etcd convert its data where the wanted Talos runs an older one. Default: false. */
  etcdDowngrade?: boolean | undefined;
  /** When nodes may be taken down. Default: at any time. */
  windows?: UpgradeWindow[] | undefined;
  /** What happens to the nodes that are left when no window is open. Default: stop. */
  outsideWindow?: "stop" | "fail" | undefined;
  /** What has to be well in the cluster before each node is taken down. Default: nothing. */
  gates?: RolloutGate[] | undefined;
  /** Why machine configurations, machines and removals are refused in a preview, by any name. Default: nothing. */
  refusals?: Record<string, pulumi.Output<string | undefined>> | undefined;
  /** What RolloutReadiness has confirmed, as for a NodeUpgrade. Default: no approval is asked for. */
  approval?: ConfirmedPlan | undefined;
}

/**
 * Takes a cluster to one installer image: control planes one at a time, then workers in lanes.
 *
 * The order is made of dependencies between the nodes' resources, so the engine keeps it whatever `--parallel` says,
 * and a failed node stops every node after it.
 */
export class RollingUpgrade extends pulumi.ComponentResource {
  /** One resource per node, by the node's name. */
  declare readonly nodes: Record<string, NodeUpgrade>;
  /** What each node runs, as it was read from the node itself, by the node's name. */
  declare readonly table: pulumi.Output<Record<string, RollingUpgradeRow>>;
  /** The last snapshot of etcd that a rollout has taken; undefined while there is none. */
  declare readonly etcdSnapshot: pulumi.Output<EtcdSnapshot | undefined>;
  /** Nodes that were left as they are for now, and why, such as `w2: no upgrade window is open …`. */
  declare readonly postponed: pulumi.Output<string[]>;

  constructor(name: string, args: RollingUpgradeArgs, opts?: pulumi.ComponentResourceOptions) {
    super("talos-iscsi:index:RollingUpgrade", name, {}, opts);
    const controlPlanes = args.nodes
      .filter((node) => node.role === "controlplane")
      .map((node) => node.address);
    const single = args.nodes.length === 1;
    const shared = {
      schematicId: args.schematicId,
      controlPlanes,
      clientConfiguration: secretOnce(args.clientConfiguration),
      ...(args.kubeconfig === undefined ? {} : { kubeconfig: secretOnce(args.kubeconfig) }),
      ...(args.kubernetesVersion === undefined ? {} : { kubernetesVersion: args.kubernetesVersion }),
      drain: { ...args.drain, enabled: args.drain.enabled && !single },
      ...(args.storageGate === undefined ? {} : { storageGate: args.storageGate }),
      timeoutSeconds: args.timeoutSeconds,
      allowSkew: args.allowSkew,
      prePull: args.prePull,
      ...(args.approval === undefined ? {} : { approval: args.approval }),
    };
    const policy = rolloutPolicy(args);
    const etcd = {
      ...(args.etcdSnapshot === undefined ? {} : { etcdSnapshot: args.etcdSnapshot }),
      ...(args.etcdDowngrade === true ? { etcdDowngrade: true } : {}),
    };
    const preflight = new RolloutPreflight(
      `${name}-preflight`,
      {
        ...shared,
        ...etcd,
        ...endpointsInput(args.endpoints),
        ...rolloutHops(args.nodes, args.maxUnavailableWorkers, args.pools, args.kubernetesHops),
        rollout: policy.ofAll(),
        nodes: Object.fromEntries(args.nodes.map((node) => [node.name, preflightInputs(node)])),
        ...(args.refusals !== undefined && pulumi.runtime.isDryRun() ? { refusals: args.refusals } : {}),
      },
      { parent: this, dependsOn: args.after },
    );
    this.nodes = {};
    withoutStackTraces(() => {
      for (const { node, after } of planUpgradeLanes(args.nodes, args.maxUnavailableWorkers, args.pools)) {
        const before = after.map((other) => this.nodes[other]).filter((other) => other !== undefined);
        this.nodes[node.name] = new NodeUpgrade(
          `${name}-${node.name}`,
          {
            ...shared,
            ...ownInputs(node),
            rollout: policy.of(node),
            // A worker looks at the control planes, too; that one of them comes or goes is no change of the worker (the provider's diff).
            ...(node.role === "worker" ? {} : etcd),
            ...endpointsInput(endpointsFor(args.endpoints, [node.address, ...controlPlanes])),
          },
          // The preflight depends on `after`; repeated here, hundreds of nodes would have hundreds of dependencies each.
          { parent: this, dependsOn: [preflight, ...before] },
        );
      }
    });
    this.table = this.rows(args.nodes);
    const taken = Object.values(this.nodes).map(({ takenSnapshot }) => takenSnapshot);
    this.etcdSnapshot = pulumi.unsecret(gather(taken).apply(newestSnapshot));
    const names = Object.keys(this.nodes);
    this.postponed = pulumi.unsecret(
      gather(Object.values(this.nodes).map(({ postponed }) => postponed)).apply((reasons) =>
        reasons.flatMap((why, index) => (why === undefined ? [] : [`${names[index]}: ${why}`])),
      ),
    );
    this.registerOutputs({
      table: this.table,
      etcdSnapshot: this.etcdSnapshot,
      postponed: this.postponed,
    });
  }

  private rows(nodes: readonly RollingUpgradeNode[]): RollingUpgrade["table"] {
    const read = nodes.map(({ name }) => {
      const upgraded = this.nodes[name];
      if (upgraded === undefined) throw new Error(`node ${name} is missing from the rollout's own order`);
      return upgraded;
    });
    const version = gather(read.map(({ runningVersion }) => runningVersion));
    const schematic = gather(read.map(({ runningSchematic }) => runningSchematic));
    const extensions = gather(read.map(({ installedExtensions }) => installedExtensions));
    const services = gather(read.map(({ runningServices }) => runningServices));
    const initiatorName = gather(read.map((upgraded) => upgraded.initiatorName));
    return pulumi.unsecret(
      pulumi
        .all([version, schematic, extensions, services, initiatorName])
        .apply(([versions, schematics, extensionsOf, servicesOf, initiatorNames]) =>
          Object.fromEntries(
            nodes.map(({ name, address, role }, index) => [
              name,
              {
                address,
                role,
                version: versions[index],
                schematic: schematics[index],
                extensions: extensionsOf[index],
                services: servicesOf[index],
                initiatorName: initiatorNames[index],
              } as RollingUpgradeRow,
            ]),
          ),
        ),
    );
  }
}

/** Absent where every node is reached at its own address, so that states without it stay as they are. */
function endpointsInput(endpoints: Endpoints | undefined): { endpoints?: Endpoints } {
  return endpoints === undefined ? {} : { endpoints };
}

function newestSnapshot(snapshots: (EtcdSnapshot | undefined)[]): EtcdSnapshot | undefined {
  return snapshots
    .filter((snapshot) => snapshot !== undefined)
    .sort((a, b) => (a.taken < b.taken ? -1 : 1))
    .at(-1);
}

/** What is a node's own among the inputs of its upgrade. */
function ownInputs({ name, ...node }: RollingUpgradeNode) {
  return { name, ...withoutNames(node) };
}

function withoutNames({
  address,
  role,
  talosVersion,
  image,
  schematicId,
  requirements,
}: Omit<RollingUpgradeNode, "name">) {
  const own = schematicId === undefined ? {} : { schematicId };
  return { node: address, role, talosVersion, image, ...own, ...requirements };
}

/** The same for what looks at all nodes, by their names; its plan calls the image by its name, too. */
export function preflightInputs(node: RollingUpgradeNode) {
  return { ...withoutNames(node), ...(node.imageName === undefined ? {} : { imageName: node.imageName }) };
}
