import * as pulumi from "@pulumi/pulumi";
import { IscsiCsiDriver } from "./iscsiCsiDriver.ts";
import type { IscsiCsiDriverTransforms } from "./iscsiCsiDriver.ts";
import { joviandssIdentity } from "./driverIdentity.ts";
import { oneNode } from "./iscsiDriver.ts";
import type { IscsiDriver, PluginProcess } from "./iscsiDriver.ts";
import { joviandssConfigSecret } from "./joviandssConfig.ts";
import { joviandssSchema, joviandssStorageClassSchema } from "./joviandssSettings.ts";
import type { JovianDssPool, JovianDssSettings, JovianDssSettingsInput } from "./joviandssSettings.ts";
import { driverProbe, type ProbeSurroundings, type StorageProbe } from "../storageProbe.ts";
import { toPlacement } from "./naming.ts";
import { inputError, problemsFromIssues } from "./problems.ts";
import { withKnownPassword } from "./secretInput.ts";
import { socketPath } from "./podParts.ts";

/** Arguments of `JovianDssCsi`: the settings of a stack's file, with a password that may be an Output. */
export interface JovianDssCsiArgs extends Omit<JovianDssSettingsInput, "endpoint"> {
  /** The JovianDSS REST API. */
  endpoint: Omit<JovianDssSettingsInput["endpoint"], "password"> & {
    /** The REST user's password. It is treated as a secret whether or not it is marked as one. */
    password: pulumi.Input<string>;
  };
  /** Changes to individual children, for every pool's driver. Default: none. */
  transform?: IscsiCsiDriverTransforms | undefined;
  /** See `IscsiCsiDriverArgs.workloadIsolation`. Default: false. */
  workloadIsolation?: boolean | undefined;
  /** See `IscsiDriver.node.nodesWithoutIscsi`. Default: false. */
  nodesWithoutIscsi?: boolean | undefined;
  /** The cluster that `probe` tests. Required with it. */
  probeOn?: ProbeSurroundings | undefined;
}

/**
 * The JovianDSS CSI driver: one `IscsiCsiDriver` for each pool, since one driver serves one pool.
 *
 * ```ts
 * new JovianDssCsi("joviandss", {
 *   image: "docker.io/opene/joviandss-csi@sha256:…",
 *   endpoint: { addresses: ["192.168.0.100"], user: "admin", password: config.requireSecret("password") },
 *   iscsi: { addresses: ["192.168.0.100"] },
 *   pools: [{ name: "Pool-0", storageClasses: [{ name: "joviandss-sc", default: true }] }],
 * }, { provider });
 * ```
 *
 * Throws `InputPropertiesError` with every problem of the arguments.
 */
export class JovianDssCsi extends pulumi.ComponentResource {
  /** Namespace of the first pool's driver. */
  declare readonly namespace: pulumi.Output<string>;
  /** Deployment of the first pool's controller. */
  declare readonly controllerName: pulumi.Output<string>;
  /** DaemonSet of the first pool's node plugin. */
  declare readonly daemonSetName: pulumi.Output<string>;
  /** Names of all StorageClasses, pool by pool. */
  declare readonly storageClassNames: pulumi.Output<string[]>;
  /** The drivers, in the order of the pools. */
  declare readonly drivers: IscsiCsiDriver[];
  /** The probe of all its StorageClasses; undefined without `probe`. */
  declare readonly probe: StorageProbe | undefined;

  constructor(name: string, args: JovianDssCsiArgs, opts?: pulumi.ComponentResourceOptions) {
    const { transform, workloadIsolation, nodesWithoutIscsi, probeOn, ...shown } = args;
    const settings = validateSettings(name, shown);
    // Shown in previews and kept in the state: the pods' configuration is a secret as a whole, so reviewers see its changes here.
    super(
      "talos-iscsi:index:JovianDssCsi",
      name,
      { ...shown, endpoint: { ...args.endpoint, password: pulumi.secret(args.endpoint.password) } },
      opts,
    );

    this.drivers = settings.pools.map((pool) => {
      const driver = joviandssDriver(settings, pool, args.endpoint.password, nodesWithoutIscsi);
      const childName = `${name}${joviandssIdentity(settings, pool, settings.pools.indexOf(pool)).suffix}`;
      return new IscsiCsiDriver(childName, { driver, transform, workloadIsolation }, { parent: this });
    });

    const [first] = this.drivers as [IscsiCsiDriver];
    this.namespace = first.namespace;
    this.controllerName = first.controllerName;
    this.daemonSetName = first.daemonSetName;
    this.storageClassNames = pulumi
      .all(this.drivers.map((driver) => driver.storageClassNames))
      .apply((names) => names.flat());
    const probed = this.drivers.map((driver, index) => ({
      driver,
      accessModes: claimModes(settings, index),
    }));
    this.probe = driverProbe(name, settings, probeOn, probed, this);
    this.registerOutputs({
      namespace: this.namespace,
      controllerName: this.controllerName,
      daemonSetName: this.daemonSetName,
      storageClassNames: this.storageClassNames,
    });
  }
}

function poolClasses(pool: JovianDssPool, suffix: string) {
  return pool.storageClasses ?? [joviandssStorageClassSchema.parse({ name: `joviandss-sc${suffix}` })];
}

/** The access modes that claims of each class in a pool may request. */
function claimModes({ pools }: JovianDssSettings, index: number): ("ReadWriteOnce" | "ReadWriteOncePod")[] {
  return poolClasses(pools[index] as JovianDssPool, "").map(({ accessModes }) =>
    accessModes.includes("ReadWriteOnce") ? "ReadWriteOnce" : "ReadWriteOncePod",
  );
}

/** The JovianDSS driver of one pool, described for the base. */
function joviandssDriver(
  settings: JovianDssSettings,
  pool: JovianDssPool,
  password: pulumi.Input<string>,
  nodesWithoutIscsi: boolean | undefined,
): IscsiDriver {
  const index = settings.pools.indexOf(pool);
  const { suffix, ...identity } = joviandssIdentity(settings, pool, index);
  const classes = poolClasses(pool, suffix);
  const { snapshots } = settings;
  return {
    ...identity,
    image: pool.driver?.image ?? settings.image,
    imageSource: { registry: settings.registry, images: settings.images },
    imagePullSecrets: settings.imagePullSecrets ?? [],
    secret: {
      name: "jdss-controller-cfg",
      key: "cfg.yaml",
      content: joviandssConfigSecret(settings, pool.name, password),
      mountPath: "/config",
    },
    // The volumes are single-node file systems: the kubelet applies a pod's fsGroup.
    csiDriver: { attachRequired: true, podInfoOnMount: false, fsGroupPolicy: "File" },
    iscsiadm: settings.iscsiadm,
    wrapperPath: "/usr/local/bin/iscsiadm",
    restagesUnsafely: true,
    controller: {
      ...toPlacement(settings.controller),
      replicas: settings.controller.replicas,
      hostNetwork: settings.controller.hostNetwork,
      // For volumes of StorageClasses not created here.
      defaultFsType: "ext4",
      plugin: controllerPlugin,
      // No resizer: the driver can't expand volumes. No capacity tracking either: GetCapacity crashes it.
      sidecars: ["provisioner", "attacher", ...(snapshots.enabled ? (["snapshotter"] as const) : [])],
    },
    node: {
      ...toPlacement(settings.node),
      controlPlanes: settings.node.controlPlanes,
      nodesWithoutIscsi,
      maxUnavailable: settings.node.maxUnavailable,
      plugin: nodePlugin(settings),
      mountsDev: false,
    },
    storageClasses: classes.map((entry) => ({
      ...entry,
      allowVolumeExpansion: false,
      parameters: { "csi.storage.k8s.io/fstype": entry.fsType },
    })),
    ...(snapshots.enabled
      ? { snapshotClass: { ...snapshots, name: `${snapshots.className}${suffix}`, parameters: {} } }
      : {}),
    ...(settings.guardAccessModes
      ? {
          accessGuard: {
            classes: Object.fromEntries(
              classes.map((entry) => [entry.name, { Filesystem: entry.accessModes }]),
            ),
            volumes: { Filesystem: oneNode },
          },
        }
      : {}),
  };
}

const controllerPlugin: PluginProcess = {
  container: "csi-controller",
  // The default of --soc-type is tcp.
  args: [
    `--csi-address=${socketPath}`,
    "--soc-type=unix",
    "--config=/config/cfg.yaml",
    "--controller",
    "--identity",
  ],
  readsSecret: true,
};

// The image's iscsiadm is a script; the environment tells it how to reach the node's.
function nodePlugin(settings: JovianDssSettings): PluginProcess {
  return {
    container: "csi-node",
    args: [
      `--csi-address=${socketPath}`,
      "--soc-type=unix",
      "--nodeid=$(KUBE_NODE_NAME)",
      "--node",
      "--identity",
      `--loglevel=${settings.logLevel}`,
    ],
    env: [
      { name: "ISCSIADM_HOST_STRATEGY", value: settings.iscsiadm.strategy },
      { name: "ISCSIADM_HOST_PATH", value: settings.iscsiadm.path },
    ],
    readsSecret: false,
  };
}

/** The settings with all defaults; throws all problems in one error. */
function validateSettings(name: string, plain: Pick<JovianDssCsiArgs, "endpoint">): JovianDssSettings {
  const settled = { ...plain, endpoint: withKnownPassword(plain.endpoint) };
  const result = joviandssSchema.safeParse(settled);
  if (!result.success) throw inputError("JovianDssCsi", name, problemsFromIssues(result.error.issues));
  return result.data;
}
