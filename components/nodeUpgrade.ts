import * as pulumi from "@pulumi/pulumi";
import type { nodeUpgradeSchema } from "../talos/inputs/nodeUpgrade.ts";
import type { ResourceInputs } from "./resourceInputs.ts";
import type { DrainArgs } from "./drainArgs.ts";
import type { UpgradeWindow } from "../talos/upgradeWindows.ts";
import { secretOnce } from "./outputs.ts";
import type { StorageGateArgs } from "./storageGateArgs.ts";

/** The desired state of one node. A bad value is rejected in the preview, with the input's name in brackets. */
export interface NodeUpgradeArgs {
  /** Name of the node in progress lines and errors: `cp1`. */
  name: pulumi.Input<string>;
  /**
   * Address of the node's Talos API, without a port: `10.0.0.11`. Another address is another node: the resource is replaced, and nothing happens to the old
   * one.
   */
  node: pulumi.Input<string>;
  /** `host` or `host:port` to reach the node through, such as a control plane that forwards or a load balancer. Default: the node itself, port 50000. */
  endpoint?: pulumi.Input<string>;
  /**
   * Endpoints of the nodes, including the control planes that this one checks, by address: lists of `host` or `host:port`, tried in order. `*` stands for every
   * other node. Default: each at its own address, port 50000.
   * @example `{ "*": ["10.0.0.11", "10.0.0.12"], "10.0.0.21": ["10.0.0.21:50001"] }`
   */
  endpoints?: pulumi.Input<Record<string, pulumi.Input<readonly string[]>>>;
  /** A control plane is only taken down while etcd keeps a majority without it and no other control plane is down. */
  role: pulumi.Input<"controlplane" | "worker">;
  /** The Talos release to run: `v1.13.9`. */
  talosVersion: pulumi.Input<string>;
  /** The schematic to run: 64 hexadecimal digits. A node on the right release with another schematic is upgraded too. */
  schematicId: pulumi.Input<string>;
  /** The installer image of that release and schematic: `factory.talos.dev/metal-installer/<schematic>:v1.13.9`. */
  image: pulumi.Input<string>;
  /** Extensions that must be installed afterwards: `iscsi-tools` (with or without `siderolabs/`). Default: none. */
  extensions?: pulumi.Input<pulumi.Input<string>[]>;
  /** Services that must run afterwards: `ext-iscsid`. A stopped one is started. Default: none. */
  services?: pulumi.Input<pulumi.Input<string>[]>;
  /** Files that must exist afterwards: `/usr/local/sbin/iscsiadm`. Default: none. */
  files?: pulumi.Input<pulumi.Input<string>[]>;
  /** Addresses of all control planes, including this node if it is one. They and their etcd must be healthy before a node goes down. */
  controlPlanes: pulumi.Input<pulumi.Input<string>[]>;
  /** The cluster's Kubernetes release, which the target Talos must support: `v1.35.4`. With a kubeconfig the cluster is asked instead. */
  kubernetesVersion?: pulumi.Input<string>;
  /** Credentials for the Talos API, role os:admin: PEM, base64 as in a talosconfig. Always a secret. */
  clientConfiguration: pulumi.Input<ClientConfigurationArgs>;
  /** For drain, uncordon and the Ready check. Required unless `drain` is disabled. Always a secret. */
  kubeconfig?: pulumi.Input<string>;
  /** Pull the image before the node is drained, not after. Default: true. */
  prePull?: pulumi.Input<boolean>;
  /**
   * Cordon and evict before the upgrade, honoring PodDisruptionBudgets, and wait until no volume is attached. If pods and volumes don't leave within
   * `timeoutSeconds`, the node is uncordoned and not rebooted. The only node of a cluster is never drained. Default: enabled, 300.
   */
  drain?: pulumi.Input<Partial<DrainArgs>>;
  /**
   * After the uncordon, wait until the storage that the node had is healthy: CSI drivers registered, attachments without errors, pods with claims running, here
   * or elsewhere. Default: enabled if a driver of this program is registered, for 300 seconds.
   */
  storageGate?: pulumi.Input<StorageGateArgs>;
  /** How long each step may take, in seconds. Default: 1800. */
  timeoutSeconds?: pulumi.Input<number>;
  /** Allow a step over more than one minor release, which Talos does not test. Default: false. */
  allowSkew?: pulumi.Input<boolean>;
  /** For a control plane: take an etcd snapshot before the first control plane of a rollout is disturbed. If that fails, the upgrade stops. Default: none. */
  etcdSnapshot?: pulumi.Input<EtcdSnapshotArgs>;
  /**
   * For a control plane: let etcd convert its data to the older release that the desired Talos runs. Otherwise such a step is refused, since an older etcd
   * doesn't start on newer data. Default: false.
   */
  etcdDowngrade?: pulumi.Input<boolean>;
  /**
   * How the rollout proceeds from node to node. It applies when the node is due; changing it alone doesn't change the node. Default: no windows and no budget.
   */
  rollout?: RolloutPolicyArgs;
  /**
   * What RolloutReadiness confirmed in this run (its output `confirmed`): an upgrade of this node that it doesn't approve is refused. A new approval alone
   * doesn't change the node. Default: no approval is required.
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

/** How a rollout proceeds: how many nodes may be unavailable at once, and when. */
export interface RolloutPolicyArgs {
  /**
   * The nodes that share a budget with this one, in rollout order; with windows every node, to report what is done and what is left. A text of names and
   * addresses, with each node's target if it differs: `w1 10.0.0.21, w2 10.0.0.22 v1.13.9 376567988ad3…`.
   */
  nodes: pulumi.Input<string>;
  /**
   * Groups of nodes with a limit on how many may be unavailable at once. Nodes that are cordoned or not ready count, for whatever reason. A node in no group
   * has no such limit.
   */
  budgets: {
    /** Name of the group in messages: `workers`. */
    group: string;
    /** Name of the setting that limits it, for messages. */
    setting: string;
    /** Names of its nodes: `w1, w2`. Default: all of `nodes`. */
    nodes?: string | undefined;
    /** A number, at least 1, or a percentage of the group such as `25%` (rounded down, at least one). */
    maxUnavailable: number | string;
  }[];
  /** When nodes may be taken down, checked before every node. Empty: at any time. */
  windows: UpgradeWindow[];
  /** If no window is open: `stop` leaves the node for a later deployment and succeeds, unless later resources need it; `fail` is an error. */
  outsideWindow: "stop" | "fail";
  /** Objects of the cluster that must be healthy before each node is taken down. Empty: none. */
  gates: RolloutGate[];
  /** Endpoints of workers in `nodes` that have their own: `10.0.0.22 gateway:50021`. Default: as the others. */
  endpoints?: string | undefined;
}

/** Objects of one kind, and what each must have: a condition, or a value at a JSONPath. */
export interface RolloutGate {
  /** `ceph.rook.io/v1` */
  apiVersion: string;
  /** `CephCluster` */
  kind: string;
  /** Default: all. */
  namespace?: string | undefined;
  /** A single object, which must exist; without it and a selector, all of the kind. */
  name?: string | undefined;
  /** Label selector, in kubectl's syntax. */
  labelSelector?: string | undefined;
  /** `Ready`, or `Degraded=False`. */
  condition?: string | undefined;
  /** RFC 9535, or kubectl's `{.status.phase}`. */
  jsonPath?: string | undefined;
  /** The expected value at the path, or several allowed ones. */
  value?: GateValue | GateValue[] | undefined;
  /** How long to wait for it, in seconds. */
  timeoutSeconds: number;
}

type GateValue = string | number | boolean;

/** Where etcd snapshots are stored. The file has mode 0600; a `.json` file next to it describes it. */
export interface EtcdSnapshotArgs {
  /** Name of the cluster, used in file names: several clusters may share a folder. */
  cluster: pulumi.Input<string>;
  /** The folder, relative to the project's. Created if missing. */
  directory: pulumi.Input<string>;
  /** How many of the cluster's newest snapshots to keep. At least 1. */
  keep: pulumi.Input<number>;
  /** age recipients (`age1…`) that can read the snapshots. Empty: they are in plain text, with every Secret of the cluster. */
  ageRecipients: pulumi.Input<pulumi.Input<string>[]>;
}

/** A completed etcd snapshot. */
export interface EtcdSnapshot {
  /** The file. */
  path: string;
  /** Its size in bytes. */
  size: number;
  /** etcd's revision; absent if the snapshot didn't reveal it. */
  revision?: number;
  /** SHA-256 of the file, as `sha256sum` prints it. */
  sha256: string;
  /** When it was taken, ISO 8601 in UTC. */
  taken: string;
}

/** An image that a node ran, or should run. */
export interface UpgradeImage {
  /** Talos release, such as `v1.13.9`. */
  version: string;
  /** Empty for an image not built by a factory. */
  schematicId: string;
}

/** The last upgrade of a node. Rollout reports are drawn from it. */
export interface UpgradeTimeline {
  /** What ran before. */
  from: UpgradeImage;
  /** What was to run, and its installer image. */
  to: UpgradeImage & { image: string };
  /** When it began, ISO 8601 in UTC. */
  started: string;
  /** Working time, in seconds. */
  seconds: number;
  /** How long the node was cordoned, in seconds; absent if this upgrade didn't cordon it. */
  cordonedSeconds?: number;
  /** How it ended. */
  ended: "upgraded" | "failed";
  /** The step at which it failed; absent if it didn't. */
  failedStep?: string;
  /** Why it failed. */
  reason?: string;
  /** Its steps in order: when each began (ISO 8601 in UTC) and how many seconds it took. */
  steps: { name: string; started: string; seconds: number }[];
}

/**
 * One node that runs the desired installer image, with its extensions and services. Creating it upgrades the node, or leaves it alone if it already runs the
 * image; changing `talosVersion` or `schematicId` upgrades it; deleting it leaves the node as it is. `pulumi refresh` reads the node, so that drift shows as a
 * change of these inputs.
 *
 * The caller orders several nodes through `dependsOn`.
 */
export class NodeUpgrade extends pulumi.CustomResource {
  /** Name of the node in progress lines and errors. */
  declare readonly name: pulumi.Output<string>;
  /** Address of the node. */
  declare readonly node: pulumi.Output<string>;
  /** The node's role in the cluster. */
  declare readonly role: pulumi.Output<"controlplane" | "worker">;
  /** The desired release; after a refresh or a failed upgrade, the one that was found. */
  declare readonly talosVersion: pulumi.Output<string>;
  /** The desired schematic; after a refresh or a failed upgrade, the one that was found. */
  declare readonly schematicId: pulumi.Output<string>;
  /** The desired installer image. */
  declare readonly image: pulumi.Output<string>;
  /** The running release, as last reported by the node. */
  declare readonly runningVersion: pulumi.Output<string>;
  /** The running schematic; empty for an image not built by a factory. */
  declare readonly runningSchematic: pulumi.Output<string>;
  /** Every extension of the running image. */
  declare readonly installedExtensions: pulumi.Output<string[]>;
  /** Every running service, except those that report themselves unhealthy. */
  declare readonly runningServices: pulumi.Output<string[]>;
  /** iSCSI qualified name to allow on the array; undefined without iscsi-tools. */
  declare readonly initiatorName: pulumi.Output<string | undefined>;
  /** The node's Kubernetes name; undefined before it has joined. */
  declare readonly kubernetesNode: pulumi.Output<string | undefined>;
  /** The node's last upgrade, even a failed one; undefined for a node that was never upgraded here. */
  declare readonly timeline: pulumi.Output<UpgradeTimeline | undefined>;
  /** The etcd snapshot of this control plane's last upgrade; undefined if none was taken. */
  declare readonly takenSnapshot: pulumi.Output<EtcdSnapshot | undefined>;
  /** Why the upgrade was postponed, such as no open upgrade window; undefined once it runs the desired image. */
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
        // Identical for every node: their contents are shown where they matter.
        hideDiffs: ["rollout", "approval"],
      }),
    );
  }
}

const nodeUpgradeToken = "talos-node:index:NodeUpgrade";
