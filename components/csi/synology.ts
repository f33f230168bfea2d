import * as pulumi from "@pulumi/pulumi";
import { stringify } from "yaml";
import { IscsiCsiDriver } from "./iscsiCsiDriver.ts";
import type { IscsiCsiDriverTransforms } from "./iscsiCsiDriver.ts";
import { synologyIdentity } from "./driverIdentity.ts";
import { oneNode } from "./iscsiDriver.ts";
import type { AccessGuard, IscsiDriver, PluginProcess } from "./iscsiDriver.ts";
import { driverProbe, type ProbeSurroundings, type StorageProbe } from "../storageProbe.ts";
import { toPlacement } from "./naming.ts";
import { socketPath } from "./podParts.ts";
import { readNodes } from "./rbac.ts";
import { inputError, problemsFromIssues } from "./problems.ts";
import { withKnownPassword } from "./secretInput.ts";
import { synologySchema } from "./synologySettings.ts";
import type { SynologySettings, SynologySettingsInput } from "./synologySettings.ts";
import { synologyMountOptions, synologyParameters } from "./synologyStorageClass.ts";

/** A Synology array, with a password that may be an Output. */
export type SynologyArrayArgs = Omit<SynologySettingsInput["arrays"][number], "password"> & {
  /** The DSM user's password. It is treated as a secret whether or not it is marked as one. */
  password: pulumi.Input<string>;
};

/** Arguments of `SynologyCsi`: the settings of a stack's file, with passwords that may be Outputs. */
export interface SynologyCsiArgs extends Omit<SynologySettingsInput, "arrays"> {
  /** The arrays that provide the volumes. */
  arrays: SynologyArrayArgs[];
  /** Changes to individual children. Default: none. */
  transform?: IscsiCsiDriverTransforms | undefined;
  /** See `IscsiCsiDriverArgs.workloadIsolation`. Default: false. */
  workloadIsolation?: boolean | undefined;
  /** See `IscsiDriver.node.nodesWithoutIscsi`. Default: false. */
  nodesWithoutIscsi?: boolean | undefined;
  /** The cluster that `probe` tests. Required with it. */
  probeOn?: ProbeSurroundings | undefined;
}

/**
 * The Synology CSI driver with upstream's own image.
 *
 * ```ts
 * new SynologyCsi("synology", {
 *   arrays: [{ host: "192.168.0.20", username: "kubernetes", password: config.requireSecret("password") }],
 *   storageClasses: [{ name: "synology-iscsi-storage", location: "/volume1", fsType: "ext4" }],
 * }, { provider });
 * ```
 *
 * Throws `InputPropertiesError` with every problem of the arguments.
 */
export class SynologyCsi extends pulumi.ComponentResource {
  /** Namespace of the driver. */
  declare readonly namespace: pulumi.Output<string>;
  /** Deployment of the controller. */
  declare readonly controllerName: pulumi.Output<string>;
  /** DaemonSet of the node plugin. */
  declare readonly daemonSetName: pulumi.Output<string>;
  /** Names of the StorageClasses. */
  declare readonly storageClassNames: pulumi.Output<string[]>;
  /** The driver itself. */
  declare readonly driver: IscsiCsiDriver;
  /** The probe of all its StorageClasses; undefined without `probe`. */
  declare readonly probe: StorageProbe | undefined;

  constructor(name: string, args: SynologyCsiArgs, opts?: pulumi.ComponentResourceOptions) {
    const { transform, workloadIsolation, nodesWithoutIscsi, probeOn, ...shown } = args;
    const settings = validateSettings(name, shown);
    const passwords = args.arrays.map(({ password }) => password);
    const arrays = args.arrays.map((array) => ({ ...array, password: pulumi.secret(array.password) }));
    super("talos-iscsi:index:SynologyCsi", name, { ...shown, arrays }, opts);

    const driver = synologyDriver(settings, passwords, nodesWithoutIscsi);
    this.driver = new IscsiCsiDriver(name, { driver, transform, workloadIsolation }, { parent: this });
    this.namespace = this.driver.namespace;
    this.controllerName = this.driver.controllerName;
    this.daemonSetName = this.driver.daemonSetName;
    this.storageClassNames = this.driver.storageClassNames;
    this.probe = driverProbe(name, settings, probeOn, [{ driver: this.driver, accessModes: [] }], this);
    this.registerOutputs({
      namespace: this.namespace,
      controllerName: this.controllerName,
      daemonSetName: this.daemonSetName,
      storageClassNames: this.storageClassNames,
    });
  }
}

const configDirectory = "/etc/synology";
const configKey = "client-info.yml";
const wrapperPath = "/usr/local/bin/iscsiadm";

/** The Synology driver, described for the base. `passwords` in the order of `settings.arrays`. */
function synologyDriver(
  settings: SynologySettings,
  passwords: readonly pulumi.Input<string>[],
  nodesWithoutIscsi: boolean | undefined,
): IscsiDriver {
  const { snapshots } = settings;
  const { suffix: _suffix, ...identity } = synologyIdentity(settings);
  const shares = settings.storageClasses.filter(({ protocol }) => protocol !== "iscsi");
  return {
    ...identity,
    image: settings.image,
    imageSource: { registry: settings.registry, images: settings.images },
    imagePullSecrets: settings.imagePullSecrets ?? [],
    secret: {
      name: "client-info-secret",
      key: configKey,
      content: pulumi.secret(pulumi.all([...passwords]).apply((plain) => clientInfo(settings.arrays, plain))),
      mountPath: configDirectory,
    },
    // The driver attaches nothing, but an attachment keeps a volume off a second node while the first still has it. fsGroup as upstream: applied to single-node
    // file systems, never to network shares, where changing the owner would walk through everybody's files.
    csiDriver: { attachRequired: true, podInfoOnMount: true, fsGroupPolicy: "ReadWriteOnceWithFSType" },
    iscsiadm: settings.iscsiadm,
    wrapperPath,
    // It looks for an existing session first, and mounts nothing twice (synology-csi v1.2.1 pkg/driver/initiator.go, nodeserver.go).
    restagesUnsafely: false,
    controller: {
      ...toPlacement(settings.controller),
      replicas: settings.controller.replicas,
      hostNetwork: settings.controller.hostNetwork,
      // A network share with a file system type would count as a single-node file system (fsGroup).
      ...(shares.length === 0 ? { defaultFsType: "ext4" } : {}),
      plugin: pluginProcess("NotUsed", settings, []),
      sidecars: [
        "provisioner",
        "attacher",
        "resizer",
        ...(snapshots.enabled ? (["snapshotter"] as const) : []),
      ],
    },
    node: {
      ...toPlacement(settings.node),
      controlPlanes: settings.node.controlPlanes,
      nodesWithoutIscsi,
      maxUnavailable: settings.node.maxUnavailable,
      plugin: pluginProcess("$(KUBE_NODE_NAME)", settings, nodeArgs(settings)),
      mountsDev: true,
      // Every process creates a Kubernetes client at startup, and exits without a token (synology-csi v1.2.1 pkg/driver/nodeserver.go, getK8sClient).
      apiRules: shares.some(({ protocol }) => protocol === "nfs") ? [readNodes] : [],
    },
    storageClasses: settings.storageClasses.map((entry) => ({
      ...entry,
      mountOptions: synologyMountOptions(entry),
      parameters: synologyParameters(entry),
    })),
    ...(snapshots.enabled
      ? {
          snapshotClass: {
            ...snapshots,
            name: snapshots.className,
            parameters: snapshotParameters(snapshots),
          },
        }
      : {}),
    ...(settings.guardAccessModes ? { accessGuard: accessGuard(settings) } : {}),
  };
}

/**
 * The driver declares MULTI_NODE_MULTI_WRITER for everything and mounts a LUN's file system on several nodes (synology-csi v1.2.1 pkg/driver/driver.go). Raw
 * block volumes may be shared: the workload coordinates its writes, like a migrating virtual machine.
 */
function accessGuard({ storageClasses }: SynologySettings): AccessGuard {
  const lun = { Filesystem: oneNode, Block: [...oneNode, "ReadWriteMany"] };
  const luns = storageClasses.filter(({ protocol }) => protocol === "iscsi");
  return {
    classes: Object.fromEntries(luns.map(({ name }) => [name, lun])),
    volumes: lun,
    sharedVolumes: { attribute: "protocol", values: ["smb", "nfs"] },
  };
}

/** The driver's client-info.yml (synology-csi pkg/dsm/common/config.go). */
function clientInfo(arrays: SynologySettings["arrays"], passwords: readonly string[]): string {
  const clients = arrays.map((array, index) => ({
    host: array.host,
    port: array.port ?? (array.https ? 5001 : 5000),
    https: array.https,
    username: array.username,
    password: passwords[index] ?? "",
  }));
  return stringify({ clients }, { defaultStringType: "QUOTE_DOUBLE", defaultKeyType: "PLAIN", lineWidth: 0 });
}

// Controller and node plugin are the same process with different arguments; both log in to the arrays.
function pluginProcess(nodeId: string, settings: SynologySettings, more: string[]): PluginProcess {
  return {
    container: "csi-plugin",
    args: [
      `--nodeid=${nodeId}`,
      `--endpoint=unix://${socketPath}`,
      `--client-info=${configDirectory}/${configKey}`,
      `--log-level=${settings.logLevel}`,
      ...more,
    ],
    readsSecret: true,
  };
}

function nodeArgs({ iscsiadm, multipath }: SynologySettings): string[] {
  // With an explicit path, the driver doesn't look for /usr/bin/env in the chroot, which Talos lacks.
  const iscsi =
    iscsiadm.strategy === "chroot"
      ? ["--chroot-dir=/host", `--iscsiadm-path=${iscsiadm.path}`]
      : [`--iscsiadm-path=${wrapperPath}`];
  const paths =
    multipath === undefined
      ? ["--multipath=false"]
      : [`--multipath-path=${multipath.multipathPath}`, `--multipathd-path=${multipath.multipathdPath}`];
  return [...iscsi, ...paths];
}

function snapshotParameters(snapshots: SynologySettings["snapshots"]): Record<string, string> {
  return {
    ...(snapshots.description === undefined ? {} : { description: snapshots.description }),
    is_locked: String(snapshots.locked),
  };
}

/** The settings with all defaults; throws all problems in one error. */
function validateSettings(name: string, plain: Pick<SynologyCsiArgs, "arrays">): SynologySettings {
  const arrays: unknown = plain.arrays;
  const settled = Array.isArray(arrays) ? { ...plain, arrays: arrays.map(withKnownPassword) } : plain;
  const result = synologySchema.safeParse(settled);
  if (!result.success) throw inputError("SynologyCsi", name, problemsFromIssues(result.error.issues));
  return result.data;
}
