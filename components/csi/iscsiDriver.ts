import type * as pulumi from "@pulumi/pulumi";
import type * as k8s from "@pulumi/kubernetes";
import type { Iscsiadm } from "./driverSettings.ts";
import type { Rule } from "./rbac.ts";
import type { ImageSource } from "./sidecars.ts";

/** The sidecars a driver's controller can have besides the plugin. */
export type ControllerSidecar = "provisioner" | "attacher" | "resizer" | "snapshotter";

/** How to start one of the driver's processes. */
export interface PluginProcess {
  /** Name of the container. */
  container: string;
  args: string[];
  /** Its environment, from values or from Secrets that you create in the driver's namespace. */
  env?: PluginEnvironment[];
  /** Volumes it needs besides those that every driver gets. */
  volumes?: PluginVolume[];
  /** Whether it reads the driver's Secret, mounted at `IscsiDriver.secret.mountPath`. */
  readsSecret: boolean;
}

/** A variable of a plugin's environment. A changed Secret takes effect when the plugin's pod restarts. */
export type PluginEnvironment =
  { name: string; value: string } | { name: string; secret: { name: string; key: string } };

/** A volume of a plugin's pod, and where it is mounted. */
export interface PluginVolume {
  /** Name of the volume in the pod; names used by the base are rejected. */
  name: string;
  /** Where it is mounted. */
  mountPath: string;
  /** Default: true for Secrets and ConfigMaps, false for the others. */
  readOnly?: boolean;
  /** Whether mounts propagate between the node and the plugin. Default: none do. */
  mountPropagation?: "HostToContainer" | "Bidirectional";
  /** A folder of the node, a Secret or ConfigMap in the driver's namespace, or an empty folder. */
  source:
    | { hostPath: string; type?: "Directory" | "DirectoryOrCreate" | "File" | "Socket" }
    | { secret: string }
    | { configMap: string }
    | { emptyDir: true };
}

/** A StorageClass of a driver. */
export interface IscsiStorageClass {
  name: string;
  reclaimPolicy: "Delete" | "Retain";
  volumeBindingMode: "Immediate" | "WaitForFirstConsumer";
  default: boolean;
  mountOptions: string[];
  allowVolumeExpansion: boolean;
  parameters: Record<string, string>;
}

/** The class of a driver's snapshots. */
export interface IscsiSnapshotClass {
  name: string;
  deletionPolicy: "Delete" | "Retain";
  default: boolean;
  parameters: Record<string, string>;
}

/** Ports of a driver's health checks. With host networking, every driver needs its own ports. */
export interface HealthPorts {
  node: number;
  registrar: number;
  controller: number;
}

/** How many ports `healthPorts` takes. */
export const portsPerDriver = 3;

/** The ports from `first` on. */
export function healthPorts(first: number): HealthPorts {
  return { node: first, registrar: first + 1, controller: first + 2 };
}

/** Where the pods of a driver run. */
export interface Placement {
  nodeSelector: Record<string, string>;
  tolerations: k8s.types.input.core.v1.Toleration[];
}

/**
 * Everything `IscsiCsiDriver` needs to know about a driver: what to run, its configuration, and what to offer. The base contains the rest, which every iSCSI
 * driver on Talos needs.
 */
export interface IscsiDriver {
  /** The CSI driver name (CSI GetPluginInfo), also used for the CSIDriver object. */
  driverName: string;
  /** Prefix of its objects' names: `joviandss-csi` gives `joviandss-csi-controller`. Unique per driver in the cluster. */
  prefix: string;
  /** Its namespace, which it shares with no other driver. */
  namespace: string;
  /** The driver's own image, from its original registry. */
  image: string;
  imageSource: ImageSource;
  imagePullSecrets: string[];
  /** The configuration file, with its credentials. */
  secret: { name: string; key: string; content: pulumi.Input<string>; mountPath: string };
  csiDriver: {
    attachRequired: boolean;
    podInfoOnMount: boolean;
    /** Whether the kubelet changes the ownership of a volume's files to a pod's fsGroup. */
    fsGroupPolicy: "File" | "ReadWriteOnceWithFSType" | "None";
    /** Further fields of the CSIDriver object, such as `seLinuxMount`, `storageCapacity` or `tokenRequests`. Default: none. */
    more?: Omit<
      k8s.types.input.storage.v1.CSIDriverSpec,
      "attachRequired" | "podInfoOnMount" | "fsGroupPolicy"
    >;
  };
  iscsiadm: Iscsiadm;
  /** Where the image expects iscsiadm; this program's own is mounted there if needed. */
  wrapperPath: string;
  /**
   * Whether the driver harms a volume in use when it is staged or published again, as the kubelet does after a restart. If so, this program's iscsiadm and
   * mount replace the image's (shims.ts).
   */
  restagesUnsafely: boolean;
  healthPorts: HealthPorts;
  controller: Placement & {
    plugin: PluginProcess;
    sidecars: ControllerSidecar[];
    replicas: number;
    hostNetwork: boolean;
    /** File system of volumes whose StorageClass sets none. Absent: the driver decides. */
    defaultFsType?: string | undefined;
    /** Further arguments of sidecars, after the base's: `{ provisioner: ["--strict-topology"] }`. Default: none. */
    sidecarArgs?: Partial<Record<ControllerSidecar, readonly string[]>> | undefined;
    /** The plugin's own Kubernetes API permissions, besides the sidecars'. Default: none. */
    apiRules?: readonly Rule[] | undefined;
  };
  node: Placement & {
    plugin: PluginProcess;
    /** Whether the plugin opens devices under /dev rather than /host/dev. */
    mountsDev: boolean;
    controlPlanes: boolean;
    /** Whether the cluster has nodes labeled `talos-iscsi/iscsi: "false"`, which the node plugin avoids. Default: false. */
    nodesWithoutIscsi?: boolean | undefined;
    maxUnavailable: number | string;
    /**
     * The plugin's Kubernetes API permissions; an empty list gives a token without permissions, for a plugin that only creates a client. Absent: no token at
     * all.
     */
    apiRules?: readonly Rule[] | undefined;
  };
  storageClasses: IscsiStorageClass[];
  snapshotClass?: IscsiSnapshotClass | undefined;
  /** What the cluster rejects on the driver's behalf, for a driver that doesn't reject it itself. Absent: nothing. */
  accessGuard?: AccessGuard | undefined;
}

/** Access modes that let only one node use a volume. */
export const oneNode = ["ReadWriteOnce", "ReadWriteOncePod"] as const;

/** Access modes by volume mode. A missing volume mode is rejected. */
export interface AllowedAccess {
  Filesystem?: readonly string[];
  Block?: readonly string[];
}

/** Which claims and volumes the cluster admits for a driver. */
export interface AccessGuard {
  /** Claims, by StorageClass. */
  classes: Readonly<Record<string, AllowedAccess>>;
  /** PersistentVolumes of the driver, no matter who created them or which StorageClass they name. */
  volumes: AllowedAccess;
  /** Volumes that several nodes may mount, such as network shares: those with one of these volume attributes. */
  sharedVolumes?: { attribute: string; values: readonly string[] } | undefined;
}

/** The directory of a driver's socket on the node, outside the kubelet's registration directory (which the kubelet walks). */
export function pluginDirectory(driverName: string): string {
  return `/var/lib/kubelet/plugins/${driverName}`;
}
