import * as pulumi from "@pulumi/pulumi";
import type { nodeUpgradeSchema } from "../talos/inputs/nodeUpgrade.ts";
import type { ResourceInputs } from "./resourceInputs.ts";
import type { DrainArgs } from "./drainArgs.ts";
import type { UpgradeWindow } from "../talos/upgradeWindows.ts";
import { secretOnce } from "./outputs.ts";
import type { StorageGateArgs } from "./storageGateArgs.ts";

/** The wanted state of one node. A bad value is refused in the preview, with the input's name in brackets. */
export interface NodeUpgradeArgs {
  /** What to call the node in progress lines and errors: `cp1`. */
  name: pulumi.Input<string>;
  /**
   * Address of the node's Talos API, without a port: `10.0.0.11`. Another address is another node: the resource is
   * replaced, and nothing happens to the old one.
   */
  node: pulumi.Input<string>;
  /**
   * `host` or `host:port` to reach the node through, such as a control plane that forwards or a load balancer.
   * Default: the node itself, port 50000.
   */
  endpoint?: pulumi.Input<string>;
  /**
   * Where nodes are reached, the control planes that this one looks at included, by their addresses: lists of `host` or `host:port` that are tried in
   * turn. `*` stands for every other node. Default: each at its own address, port 50000.
   * @example `{ "*": ["10.0.0.11", "10.0.0.12"], "10.0.0.21": ["10.0.0.21:50001"] }`
   */
  endpoints?: pulumi.Input<Record<string, pulumi.Input<readonly string[]>>>;
  /** A control plane is only taken down while etcd keeps a majority without it and no other control plane is down. */
  role: pulumi.Input<"controlplane" | "worker">;
  /** The Talos release to run: `v1.13.9`. */
  talosVersion: pulumi.Input<string>;
  /** The schematic to run: 64 hexadecimal digits. A node of the right release with another schematic is upgraded too. */
  schematicId: pulumi.Input<string>;
  /** The installer image of that release and schematic: `factory.talos.dev/metal-installer/<schematic>:v1.13.9`. */
  image: pulumi.Input<string>;
  /** Extensions that must be there afterwards: `iscsi-tools` (with or without `siderolabs/`). Default: none. */
  extensions?: pulumi.Input<pulumi.Input<string>[]>;
  /** Services that must run afterwards: `ext-iscsid`. One that was stopped is started. Default: none. */
  services?: pulumi.Input<pulumi.Input<string>[]>;
  /** Files that must exist afterwards: `/usr/local/sbin/iscsiadm`. Default: none. */
  files?: pulumi.Input<pulumi.Input<string>[]>;
  /** Addresses of all control planes, this node included if it is one. They and their etcd have to be well before a node goes down. */
  controlPlanes: pulumi.Input<pulumi.Input<string>[]>;
  /** The cluster's Kubernetes release, which the target Talos must support: `v1.35.4`. With a kubeconfig the cluster is asked instead. */
  kubernetesVersion?: pulumi.Input<string>;
  /** Credentials for the Talos API, role os:admin: PEM, base64 as in a talosconfig. Always a secret. */
  clientConfiguration: pulumi.Input<ClientConfigurationArgs>;
  /** For drain, uncordon and the Ready check. Needed unless `drain` is disabled. Always a secret. */
  kubeconfig?: pulumi.Input<string>;
  /** Pull the image before the node is drained, not after. Default: true. */
  prePull?: pulumi.Input<boolean>;
  /**
   * Cordon and evict before the upgrade, PodDisruptionBudgets honoured, and wait until no volume is attached. A node that its pods and volumes would not
   * leave within `timeoutSeconds` is uncordoned again and not rebooted. The only node of a cluster is never drained. Default: enabled, 300.
   */
  drain?: pulumi.Input<Partial<DrainArgs>>;
  /**
   * Wait, after the uncordon, until the storage that the node had is well: CSI drivers registered, attachments without errors, pods with claims running,
   * here or elsewhere. Default: on where a driver of this program is registered, for 300 seconds.
   */
  storageGate?: pulumi.Input<StorageGateArgs>;
  /** How long each step may take, in seconds. Default: 1800. */
  timeoutSeconds?: pulumi.Input<number>;
  /** Allow a step over more than one minor release, which Talos does not test. Default: false. */
  allowSkew?: pulumi.Input<boolean>;
  /**
   * For a control plane: take a snapshot of etcd before the first control plane of a rollout is disturbed. One that cannot be taken stops
   * the upgrade. Default: none.
   */
  etcdSnapshot?: pulumi.Input<EtcdSnapshotArgs>;
  /**
   * For a control plane: let etcd convert its data to the older release that the wanted Talos runs. Without it such a step is refused, since
   * an older etcd does not start on newer data. Default: false.
   */
  etcdDowngrade?: pulumi.Input<boolean>;
  /**
   * How the rollout goes on from node to node. It counts when the node is due; a change of it alone is no change of the node. Default: no
   * windows and no budget.
   */
  rollout?: RolloutPolicyArgs;
  /**
   * What RolloutReadiness has confirmed in this run (its output `confirmed`): without the approval of an upgrade of this node it is refused. Another
   * approval is no change of the node. Default: no approval is asked for.
   */
  approval?: pulumi.Input<Record<string, unknown>>;
}

/** Credentials for the Talos API, each base64 of PEM as in a talosconfig. */
export interface ClientConfigurationArgs {
  /** The CA of the Talos API: `ca`. */
  caCertificate: pulumi.Input<string>;
  /** The client's certificate: `crt`. */
  clientCertificate: pulumi.Input<string>;
  /** The client's key: `key`. */
  clientKey: pulumi.Input<string>;
}

/** How a rollout goes on: how many nodes may be unavailable at once, and when. */
export interface RolloutPolicyArgs {
  /**
   * The nodes that share a budget with this one, in the order of the rollout; with windows every node, since what is done and what is left is told from it.
   * A text of names and addresses, with what each is to run where that differs: `w1 10.0.0.21, w2 10.0.0.22 v1.13.9 376567988ad3…`.
   */
  nodes: pulumi.Input<string>;
  /**
   * Groups of nodes of which only so many may be unavailable at once, by the nodes' names. Nodes that are cordoned or not ready count,
   * whatever the reason. A node in no group has no such limit.
   */
  budgets: {
    /** What the group is called in messages: `workers`. */
    group: string;
    /** The setting that says how many, for messages. */
    setting: string;
    /** Names of its nodes: `w1, w2`. Default: all of `nodes`. */
    nodes?: string | undefined;
    /** A number, at least 1, or a percentage of the group such as `25%` (rounded down, at least one). */
    maxUnavailable: number | string;
  }[];
  /** When nodes may be taken down; it is looked at before every node. Empty: at any time. */
  windows: UpgradeWindow[];
  /** With no window open: `stop` leaves the node for a later deployment and succeeds, unless what comes after needs it; `fail` is an error. */
  outsideWindow: "stop" | "fail";
  /** Objects of the cluster that have to be well before each node is taken down. Empty: none. */
  gates: RolloutGate[];
  /** Where workers of `nodes` are reached that have endpoints of their own: `10.0.0.22 gateway:50021`. Default: as the others. */
  endpoints?: string | undefined;
}

/** Objects of one kind, and what each has to have: a condition, or a value at a JSONPath. */
export interface RolloutGate {
  /** `ceph.rook.io/v1` */
  apiVersion: string;
  /** `CephCluster` */
  kind: string;
  /** Default: all. */
  namespace?: string | undefined;
  /** The one object, which has to be there; without it and a selector all of the kind. */
  name?: string | undefined;
  /** Label selector, as kubectl takes it. */
  labelSelector?: string | undefined;
  /** `Ready`, or `Degraded=False`. */
  condition?: string | undefined;
  /** RFC 9535, or kubectl's `{.status.phase}`. */
  jsonPath?: string | undefined;
  /** What the path has to find: a value, or any of several. */
  value?: GateValue | GateValue[] | undefined;
  /** How long to wait for it, in seconds. */
  timeoutSeconds: number;
}

type GateValue = string | number | boolean;

/** Where snapshots of etcd go. The file has mode 0600; beside it is one with `.json` that says what it is. */
export interface EtcdSnapshotArgs {
  /** Name of the cluster, in the names of its files: several may share a folder. */
  cluster: pulumi.Input<string>;
  /** The folder, relative to the project's. It is made if there is none. */
  directory: pulumi.Input<string>;
  /** How many of the cluster's snapshots stay, the newest. At least 1. */
  keep: pulumi.Input<number>;
  /** age recipients (`age1…`) that can read the snapshots. Empty: they are in plain text, with every Secret of the cluster. */
  ageRecipients: pulumi.Input<pulumi.Input<string>[]>;
}

/** A snapshot of etcd that was taken. */
export interface EtcdSnapshot {
  /** The file. */
  path: string;
  /** Its size in bytes. */
  size: number;
  /** etcd's revision; absent where it could not be read from the snapshot. */
  revision?: number;
  /** SHA-256 of the file, as `sha256sum` prints it. */
  sha256: string;
  /** When it was taken, ISO 8601 in UTC. */
  taken: string;
}

/** An image that a node ran, or was to run. */
export interface UpgradeImage {
  /** Talos release, such as `v1.13.9`. */
  version: string;
  /** Empty for an image that no factory made. */
  schematicId: string;
}

/** The last upgrade of a node, as it went. Rollout reports are drawn from it. */
export interface UpgradeTimeline {
  /** What ran before. */
  from: UpgradeImage;
  /** What was to run, and the installer image of it. */
  to: UpgradeImage & { image: string };
  /** When it began, ISO 8601 in UTC. */
  started: string;
  /** How long it was worked at, in seconds. */
  seconds: number;
  /** How long the node took no new pods, in seconds; absent where this upgrade did not cordon it. */
  cordonedSeconds?: number;
  /** How it ended. */
  ended: "upgraded" | "failed";
  /** The step at which it failed; absent where it did not. */
  failedStep?: string;
  /** Why it failed. */
  reason?: string;
  /** Its steps in order: when each began (ISO 8601 in UTC) and how many seconds it took. */
  steps: { name: string; started: string; seconds: number }[];
}

/**
 * One node runs the wanted installer image, with its extensions and services. Creating it upgrades the node, or finds
 * that it is there already and leaves it alone; changing `talosVersion` or `schematicId` upgrades it; deleting it leaves
 * the node as it is. `pulumi refresh` reads the node, so that drift shows as a change of these inputs.
 *
 * The order of several nodes is the caller's, by `dependsOn`.
 */
export class NodeUpgrade extends pulumi.CustomResource {
  /** What the node is called in progress lines and errors. */
  declare readonly name: pulumi.Output<string>;
  /** Address of the node. */
  declare readonly node: pulumi.Output<string>;
  /** The node's part in the cluster. */
  declare readonly role: pulumi.Output<"controlplane" | "worker">;
  /** The wanted release; after a refresh, or a failed upgrade, the one that was found. */
  declare readonly talosVersion: pulumi.Output<string>;
  /** The wanted schematic; after a refresh, or a failed upgrade, the one that was found. */
  declare readonly schematicId: pulumi.Output<string>;
  /** The wanted installer image. */
  declare readonly image: pulumi.Output<string>;
  /** The release that runs, as the node said last. */
  declare readonly runningVersion: pulumi.Output<string>;
  /** The schematic that runs; empty for an image that no factory made. */
  declare readonly runningSchematic: pulumi.Output<string>;
  /** Every extension of the running image. */
  declare readonly installedExtensions: pulumi.Output<string[]>;
  /** Every service that runs, without those that report themselves unhealthy. */
  declare readonly runningServices: pulumi.Output<string[]>;
  /** iSCSI qualified name, to be allowed on the array; undefined without iscsi-tools. */
  declare readonly initiatorName: pulumi.Output<string | undefined>;
  /** The node's name in Kubernetes; undefined before it has joined. */
  declare readonly kubernetesNode: pulumi.Output<string | undefined>;
  /** The node's last upgrade, failed ones included; undefined for a node that was never upgraded here. */
  declare readonly timeline: pulumi.Output<UpgradeTimeline | undefined>;
  /** The snapshot of etcd that belongs to this control plane's last upgrade; undefined where none was taken. */
  declare readonly takenSnapshot: pulumi.Output<EtcdSnapshot | undefined>;
  /** Why the node was left as it is for now, such as no open upgrade window; undefined once it runs the wanted image. */
  declare readonly postponed: pulumi.Output<string | undefined>;

  constructor(name: string, args: NodeUpgradeArgs, opts?: pulumi.CustomResourceOptions) {
    const inputs: ResourceInputs<typeof nodeUpgradeSchema> = {
      ...args,
      clientConfiguration: secretOnce(args.clientConfiguration),
      kubeconfig: args.kubeconfig === undefined ? undefined : secretOnce(args.kubeconfig),
    };
    super(
      nodeUpgradeToken,
      name,
      {
        ...inputs,
        // Only the node knows these.
        runningVersion: undefined,
        runningSchematic: undefined,
        installedExtensions: undefined,
        runningServices: undefined,
        initiatorName: undefined,
        kubernetesNode: undefined,
        timeline: undefined,
        takenSnapshot: undefined,
        postponed: undefined,
      },
      pulumi.mergeOptions(opts, {
        additionalSecretOutputs: ["clientConfiguration", "kubeconfig"],
        // The same for every node: what it says is told where it matters.
        hideDiffs: ["rollout", "approval"],
      }),
    );
  }
}

const nodeUpgradeToken = "talos-node:index:NodeUpgrade";
