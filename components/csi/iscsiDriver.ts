import type * as pulumi from "@pulumi/pulumi";
import type * as k8s from "@pulumi/kubernetes";
import type { Iscsiadm } from "./driverSettings.ts";
import type { Rule } from "./rbac.ts";
import type { ImageSource } from "./sidecars.ts";

/** The helpers that a driver's controller can have, beside the plugin itself. */
export type ControllerSidecar = "provisioner" | "attacher" | "resizer" | "snapshotter";

/** How one of the driver's processes is started. */
export interface PluginProcess {
  /** Name of the container. */
  container: string;
  args: string[];
  /** Its environment, from values or from Secrets of the driver's namespace that you make. */
  env?: PluginEnvironment[];
  /** What it needs mounted besides what every driver gets. */
  volumes?: PluginVolume[];
  /** Whether it reads the driver's Secret, mounted at `IscsiDriver.secret.mountPath`. */
  readsSecret: boolean;
}

/** A variable of a plugin's environment. A changed Secret reaches a plugin when its pod restarts. */
export type PluginEnvironment =
  { name: string; value: string } | { name: string; secret: { name: string; key: string } };

/** A volume of a plugin's pod, and where the plugin finds it. */
export interface PluginVolume {
  /** Name of the volume in the pod; the base's own names are refused. */
  name: string;
  /** Where the plugin finds it. */
  mountPath: string;
  /** Default: true for Secrets and ConfigMaps, false for the others. */
  readOnly?: boolean;
  /** Whether mounts cross between the node and the plugin. Default: none do. */
  mountPropagation?: "HostToContainer" | "Bidirectional";
  /** A folder of the node, a Secret or ConfigMap of the driver's namespace, or an empty folder. */
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

/** Ports of a driver's health checks. In the node's network every driver needs ports of its own. */
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
 * All that `IscsiCsiDriver` has to know of a driver: what to run, with what configuration, and what to offer.
 * The rest, what every iSCSI driver on Talos needs, is in the base.
 */
export interface IscsiDriver {
  /** The name the driver answers with (CSI GetPluginInfo), and thus of the CSIDriver object. */
  driverName: string;
  /** First part of the names of its objects: `joviandss-csi` makes `joviandss-csi-controller`. One driver's alone in the cluster. */
  prefix: string;
  /** Its namespace, of which it is the only driver. */
  namespace: string;
  /** The driver's own image, from whatever registry it really comes from. */
  image: string;
  imageSource: ImageSource;
  imagePullSecrets: string[];
  /** The configuration file, with its credentials. */
  secret: { name: string; key: string; content: pulumi.Input<string>; mountPath: string };
  csiDriver: {
    attachRequired: boolean;
    podInfoOnMount: boolean;
    /** Whether the kubelet changes the owner of a volume's files to a pod's fsGroup. */
    fsGroupPolicy: "File" | "ReadWriteOnceWithFSType" | "None";
    /** Further fields of the CSIDriver object, such as `seLinuxMount`, `storageCapacity` or `tokenRequests`. Default: none. */
    more?: Omit<
      k8s.types.input.storage.v1.CSIDriverSpec,
      "attachRequired" | "podInfoOnMount" | "fsGroupPolicy"
    >;
  };
  iscsiadm: Iscsiadm;
  /** Where the image expects iscsiadm; the program's own is mounted there if it is needed. */
  wrapperPath: string;
  /**
   * Whether the driver harms a volume in use that is staged or published again, as the kubelet does after a restart. Then iscsiadm and mount
   * of ours stand in front of the image's (shims.ts).
   */
  restagesUnsafely: boolean;
  healthPorts: HealthPorts;
  controller: Placement & {
    plugin: PluginProcess;
    sidecars: ControllerSidecar[];
    replicas: number;
    hostNetwork: boolean;
    /** File system of volumes whose StorageClass names none. Absent: the driver decides. */
    defaultFsType?: string | undefined;
    /** Further arguments of sidecars, after the base's own: `{ provisioner: ["--strict-topology"] }`. Default: none. */
    sidecarArgs?: Partial<Record<ControllerSidecar, readonly string[]>> | undefined;
    /** What the plugin itself asks of the Kubernetes API, besides the sidecars' rights. Default: nothing. */
    apiRules?: readonly Rule[] | undefined;
  };
  node: Placement & {
    plugin: PluginProcess;
    /** Whether the plugin opens devices under /dev rather than /host/dev. */
    mountsDev: boolean;
    controlPlanes: boolean;
    /** Whether the cluster has nodes with the label `talos-iscsi/iscsi: "false"`, which the node part stays off. Default: false. */
    nodesWithoutIscsi?: boolean | undefined;
    maxUnavailable: number | string;
    /**
     * What the plugin asks of the Kubernetes API; an empty list is a token without rights, for a plugin that only makes a client.
     * Absent: no token at all.
     */
    apiRules?: readonly Rule[] | undefined;
  };
  storageClasses: IscsiStorageClass[];
  snapshotClass?: IscsiSnapshotClass | undefined;
  /** What the cluster refuses on the driver's behalf, for a driver that doesn't refuse it itself. Absent: nothing. */
  accessGuard?: AccessGuard | undefined;
}

/** Access modes under which one node alone uses a volume. */
export const oneNode = ["ReadWriteOnce", "ReadWriteOncePod"] as const;

/** Access modes by volume mode. A volume mode that is absent is refused. */
export interface AllowedAccess {
  Filesystem?: readonly string[];
  Block?: readonly string[];
}

/** Which claims and volumes the cluster admits for a driver. */
export interface AccessGuard {
  /** Claims, by the StorageClass they name. */
  classes: Readonly<Record<string, AllowedAccess>>;
  /** PersistentVolumes of the driver, no matter who created them or which StorageClass they name. */
  volumes: AllowedAccess;
  /** Volumes that several nodes may mount, such as network shares: the ones with one of these volume attributes. */
  sharedVolumes?: { attribute: string; values: readonly string[] } | undefined;
}

/** The directory of a driver's socket on the node, outside of the kubelet's registration directory (which the kubelet walks). */
export function pluginDirectory(driverName: string): string {
  return `/var/lib/kubelet/plugins/${driverName}`;
}
