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

/** A node of the rollout and its own settings; the rest is shared by all nodes. */
export interface RollingUpgradeNode {
  /** Name of the node, as in the settings. */
  name: string;
  /** Address of its Talos API. */
  address: string;
  /** Control planes go first, one at a time. */
  role: "controlplane" | "worker";
  /** The Talos release to run, such as `v1.13.9`. */
  talosVersion: string;
  /** The installer image of that release and schematic. */
  image: pulumi.Input<string>;
  /** Its schematic. Default: the rollout's. */
  schematicId?: pulumi.Input<string> | undefined;
  /** The image's name in the settings, for the preview: `gpu`. Default: images are not named. */
  imageName?: string | undefined;
  /** Releases to go through first if it is more than one minor release behind. Default: none; such a node is refused. */
  way?: NodeHops | undefined;
  /** The pool whose budget and order apply to it. Default: none. */
  pool?: string | undefined;
  /** What must be present afterwards: extensions, services, files. */
  requirements: IscsiRequirements;
}

/** A node after the rollout, for people and later programs. */
export interface RollingUpgradeRow {
  /** Address of its Talos API. */
  address: string;
  /** Its role in the cluster. */
  role: "controlplane" | "worker";
  /** The running Talos release. */
  version: string;
  /** Schematic of the running image; empty for an image not built by a factory. */
  schematic: string;
  /** Extensions of the running image. */
  extensions: string[];
  /** Running services. */
  services: string[];
  /** iSCSI qualified name to allow on the array; absent without iscsi-tools. */
  initiatorName: string | undefined;
}

/** The nodes of a cluster, their desired images, and the safeguards of the rollout. */
export interface RollingUpgradeArgs {
  /** All nodes of the cluster, in rollout order within each role. */
  nodes: RollingUpgradeNode[];
  /** Endpoints of the nodes, as for a NodeUpgrade. Default: their own addresses. */
  endpoints?: Endpoints | undefined;
  /** What must be done before the first node may be touched, such as all machine configurations. */
  after: pulumi.Resource[];
  /** Schematic of every node that has none of its own. */
  schematicId: pulumi.Input<string>;
  /** Talos API credentials (role os:admin), base64 as in a talosconfig. */
  clientConfiguration: NodeUpgradeArgs["clientConfiguration"];
  /** Kubeconfig for drain, uncordon and the Ready check. */
  kubeconfig?: pulumi.Input<string> | undefined;
  /** The cluster's Kubernetes release; the target Talos must support it. */
  kubernetesVersion?: string | undefined;
  /** How to upgrade Kubernetes if nodes with a `way` need it. Default: it is not upgraded. */
  kubernetesHops?: KubernetesHops | undefined;
  /** How to drain before an upgrade, and the time limit for pods and volumes to leave, in seconds; a cluster of one node is never drained. */
  drain: DrainArgs;
  /** Whether the next node waits for storage. Default: if a driver of this program is registered, for 300 seconds. */
  storageGate?: StorageGateArgs | undefined;
  /** How many workers at once: a number, or a percentage such as `25%` (rounded down, at least one). */
  maxUnavailableWorkers: number | string;
  /** Budget and order of a pool's workers, by pool name. Default: `maxUnavailableWorkers`, and 0. */
  pools?: Record<string, PoolRollout> | undefined;
  /** Time limit for each step of a node, in seconds. */
  timeoutSeconds: number;
  /** Allow a step over more than one Talos minor release. */
  allowSkew: boolean;
  /** Pull the image on all nodes before the first is drained. */
  prePull: boolean;
  /** Take an etcd snapshot before the first control plane is disturbed. Default: none. */
  etcdSnapshot?: EtcdSnapshotArgs | undefined;
  /** Let etcd convert its data if the desired Talos runs an older etcd. Default: false. */
  etcdDowngrade?: boolean | undefined;
  /** When nodes may be taken down. Default: at any time. */
  windows?: UpgradeWindow[] | undefined;
  /** What happens to the remaining nodes when no window is open. Default: stop. */
  outsideWindow?: "stop" | "fail" | undefined;
  /** What must be healthy in the cluster before each node is taken down. Default: nothing. */
  gates?: RolloutGate[] | undefined;
  /** Why machine configurations, machines and removals are refused in a preview, keyed by any name. Default: nothing. */
  refusals?: Record<string, pulumi.Output<string | undefined>> | undefined;
  /** What RolloutReadiness confirmed, as for a NodeUpgrade. Default: no approval is required. */
  approval?: ConfirmedPlan | undefined;
}

/**
 * Upgrades a cluster to one installer image: control planes one at a time, then workers in lanes.
 *
 * The order is expressed as dependencies between the nodes' resources, so the engine keeps it whatever `--parallel` is set to, and a failed node stops every
 * node after it.
 */
export class RollingUpgrade extends pulumi.ComponentResource {
  /** One resource per node, by node name. */
  declare readonly nodes: Record<string, NodeUpgrade>;
  /** What each node runs, as read from the node, by node name. */
  declare readonly table: pulumi.Output<Record<string, RollingUpgradeRow>>;
  /** The last etcd snapshot taken by a rollout; undefined if there is none. */
  declare readonly etcdSnapshot: pulumi.Output<EtcdSnapshot | undefined>;
  /** Nodes whose upgrade was postponed, and why, such as `w2: no upgrade window is open …`. */
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
            // A worker checks the control planes, too; added or removed control planes don't change the worker (the provider's diff).
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

/** Absent if every node is reached at its own address, so that states without it stay unchanged. */
function endpointsInput(endpoints: Endpoints | undefined): { endpoints?: Endpoints } {
  return endpoints === undefined ? {} : { endpoints };
}

function newestSnapshot(snapshots: (EtcdSnapshot | undefined)[]): EtcdSnapshot | undefined {
  return snapshots
    .filter((snapshot) => snapshot !== undefined)
    .sort((a, b) => (a.taken < b.taken ? -1 : 1))
    .at(-1);
}

/** The node-specific inputs of its upgrade. */
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

/** The same for resources that read all nodes, by name; their plan also shows the image's name. */
export function preflightInputs(node: RollingUpgradeNode) {
  return { ...withoutNames(node), ...(node.imageName === undefined ? {} : { imageName: node.imageName }) };
}
