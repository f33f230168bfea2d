import { problemCode } from "../settings/problemCode.ts";
import { coded } from "../talos/errorCodes.ts";
import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import { csiNamespaces } from "./csi/csiProblems.ts";
import { deployedDrivers } from "./csi/deployedDrivers.ts";
import { JovianDssCsi } from "./csi/joviandss.ts";
import { PrivilegedNamespace } from "./csi/privilegedNamespace.ts";
import { SnapshotController } from "./csi/snapshots.ts";
import { SynologyCsi } from "./csi/synology.ts";
import { drainArgs, drainUnlessDefault } from "./drainArgs.ts";
import { storageGateArgs } from "./storageGateArgs.ts";
import { ClusterMembership } from "./clusterMembership.ts";
import { hidesText, hideValues } from "./hiddenValues.ts";
import { FactoryImage } from "./factoryImage.ts";
import { nodeImages, nodeParts, type NodeImages } from "./nodeImages.ts";
import {
  kubernetesHopsTo,
  KubernetesUpgrade,
  kubernetesUpgradeNodes,
  pinnedByName,
} from "./kubernetesUpgrade.ts";
import { recordTypes, findRemovedObjects } from "./declaredObjects.ts";
import { preflightInputs, RollingUpgrade, type RollingUpgradeArgs } from "./rollingUpgrade.ts";
import { rolloutHops } from "./rolloutHops.ts";
import { rolloutPolicy } from "./rolloutPolicy.ts";
import { RolloutReadiness } from "./rolloutReadiness.ts";
import { probedVolumes, runningImages, type ProbedVolume } from "./storageProbe.ts";
import { TalosCluster } from "./talosCluster.ts";
import { endpointsByAddress } from "../talos/endpoint.ts";
import { newestUsableContract } from "../talos/iscsi.ts";
import { oldestOf } from "../talos/version.ts";
import type { Settings } from "../settings/rules.ts";

/** The outputs of a cluster, for both the stack and the component. */
export interface IscsiClusterOutputs {
  /** ID of the Image Factory's schematic. */
  schematicId: pulumi.Output<string>;
  /** Installer image that the nodes run. */
  installerImage: pulumi.Output<string>;
  /** ISO that boots a new machine into maintenance mode. */
  isoUrl: pulumi.Output<string>;
  /** iPXE script that boots a new machine into maintenance mode. */
  pxeUrl: pulumi.Output<string>;
  /** References of every image by name; `image` is `default`. Absent without `images`. */
  images: NodeImages["table"];
  /** URL of the Kubernetes API. */
  endpoint: string;
  /** Admin credentials for talosctl, as a secret. */
  talosconfig: pulumi.Output<string>;
  /** Admin credentials for kubectl, as a secret. */
  kubeconfig: pulumi.Output<string>;
  /** Redacted machine configurations. Absent without `outputs.machineConfigurations`. */
  machineConfigurations: TalosCluster["redactedConfigurations"] | undefined;
  /** What each node runs, by name, as read from the node. */
  nodes: RollingUpgrade["table"];
  /** Last etcd snapshot: path, size, revision, SHA-256. Absent without `upgrade.etcdSnapshot`. */
  etcdSnapshot: RollingUpgrade["etcdSnapshot"] | undefined;
  /** Nodes waiting for an upgrade window, and why. Absent without `upgrade.windows`. */
  postponed: RollingUpgrade["postponed"] | undefined;
  /** StorageClasses for workloads. */
  storageClasses: pulumi.Output<string[]>;
  /** Last storage probe of each driver: seconds by step of each volume. Absent without `joviandss.probe` and `synology.probe`. */
  storageProbe: pulumi.Output<Record<string, ProbedVolume[]>> | undefined;
}

/**
 * Declares everything in the settings: images, machine configurations, upgrades, drivers.
 *
 * `index.ts` declares it at the top of its stack, where the resources have had these names since 0.1.0; IscsiCluster declares it as its children.
 *
 * @param settings the result of `parseSettings`.
 * @param parent the component that the resources belong to. Default: the stack.
 * @param named names a resource after its part in the cluster, such as `kubernetes`. Default: the part.
 */
export function declareCluster(
  settings: Settings,
  parent?: pulumi.Resource,
  named: (part: string) => string = (part) => part,
): IscsiClusterOutputs {
  const { cluster: wanted, upgrade } = settings;
  // Values provided as secrets are secret in every resource that gets them. The nodes' resources have them only in their machine configurations.
  const inScope = parent === undefined ? {} : { parent };
  const hiding = { ...inScope, transformations: hideValues(settings.hidden.values) };

  const endpoints = endpointsByAddress(wanted.nodes, wanted.talosEndpoints);

  const factory = new FactoryImage(
    named("image"),
    { ...settings.image, talosVersion: settings.talosVersion },
    hiding,
  );
  const imagesOfNodes = nodeImages(factory, settings, hiding, named);

  const rolloutNodes = wanted.nodes.map((node) => ({ ...node, ...imagesOfNodes.upgradeOf(node) }));
  const etcd = {
    etcdSnapshot:
      upgrade.etcdSnapshot === undefined ? undefined : { cluster: wanted.name, ...upgrade.etcdSnapshot },
    etcdDowngrade: upgrade.etcdDowngrade,
  };

  const declared = new Set<string>();
  const kubernetesNodes = kubernetesUpgradeNodes(wanted.nodes, wanted.patches);
  const kubernetesHops =
    upgrade.through === "automatic" && settings.kubernetesVersion !== undefined
      ? kubernetesHopsTo(settings.kubernetesVersion, upgrade.kubernetes, kubernetesNodes)
      : undefined;
  const toKubernetes =
    settings.kubernetesVersion === undefined
      ? undefined
      : {
          through: kubernetesHops?.releases.slice(0, -1),
          acceptRemovedApis: upgrade.kubernetes.acceptRemovedApis ? true : undefined,
          removedObjects: findRemovedObjects(declared, settings.kubernetesVersion),
        };

  const drain = drainArgs(upgrade.drain);
  const storageGate = storageGateArgs(upgrade.storageGate, settings.joviandss);
  const cluster = new TalosCluster(
    named("cluster"),
    {
      clusterName: wanted.name,
      endpoint: wanted.endpoint,
      nodes: wanted.nodes.map((node) => ({
        ...node,
        installerImage: imagesOfNodes.of(node).installerImageOf(node.talosVersion),
        ...nodeParts(node),
      })),
      endpoints,
      contract: settings.talosContract,
      initialContract: newestUsableContract(
        oldestOf([settings.talosVersion, ...wanted.nodes.map((node) => node.talosVersion)]),
      ),
      kubernetesVersion: settings.kubernetesVersion,
      exemptNamespaces: csiNamespaces(settings),
      kernelModules: ["iscsi_tcp"],
      podSubnets: wanted.podSubnets,
      serviceSubnets: wanted.serviceSubnets,
      vip: wanted.vip,
      patches: wanted.patches,
      acceptDropped: wanted.acceptDropped,
      hidden: settings.hidden.configurations,
      protectSecrets: wanted.protectSecrets,
      renewCredentials: wanted.renewCredentials,
      existing: wanted.secrets,
      after: imagesOfNodes.confirmed,
      // Stacks from before the setting stay unchanged.
      configurationTimeoutSeconds:
        upgrade.configurationTimeout === 600 ? undefined : upgrade.configurationTimeout,
      checkHardware: wanted.checkHardware,
      kubeletRestart: { drain: drainUnlessDefault(drain), storageGate },
      look: ({ clientConfiguration, configurations, contract, named: hardware }) => {
        const readiness = new RolloutReadiness(
          named("readiness"),
          {
            nodes: Object.fromEntries(
              rolloutNodes.map((node) => [node.name, { ...preflightInputs(node), onRemove: node.onRemove }]),
            ),
            ...rolloutHops(rolloutNodes, upgrade.workers.maxUnavailable, upgrade.pools, kubernetesHops),
            schematicId: factory.schematicId,
            controlPlanes: wanted.nodes.flatMap(({ role, address }) =>
              role === "controlplane" ? [address] : [],
            ),
            clientConfiguration,
            configurations,
            contract,
            hidden: settings.hidden.configurations,
            approvedPlan: settings.approvedPlan,
            onRemove: wanted.onRemove,
            endpoints,
            kubernetesVersion: settings.kubernetesVersion,
            kubernetes:
              toKubernetes === undefined
                ? undefined
                : { ...toKubernetes, pinned: pinnedByName(kubernetesNodes) },
            timeoutSeconds: upgrade.timeout,
            allowSkew: upgrade.allowSkew,
            ...etcd,
            hardware:
              wanted.checkHardware === "off" ? undefined : { check: wanted.checkHardware, named: hardware },
          },
          { ...inScope, dependsOn: imagesOfNodes.confirmed },
        );
        const { approval, refused } = readiness;
        return { resource: readiness, refused, ...(approval === undefined ? {} : { approval }) };
      },
    },
    { ...inScope, provider: factory.provider },
  );

  const clientAccess = { clientConfiguration: cluster.clientConfiguration, kubeconfig: cluster.kubeconfig };
  const approval = cluster.approval === undefined ? {} : { approval: cluster.approval };

  // Before the rollout: leaving nodes are no longer etcd members when the others are checked.
  const membership = new ClusterMembership(
    named("membership"),
    {
      nodes: Object.fromEntries(
        wanted.nodes.map(({ name, address, role, onRemove }) => [name, { node: address, role, onRemove }]),
      ),
      onRemove: wanted.onRemove,
      endpoints,
      ...clientAccess,
      drain,
      timeoutSeconds: upgrade.timeout,
      drivers: deployedDrivers(settings, hidesText(settings.hidden.values)),
      acceptDriverChanges: wanted.acceptDriverChanges,
      ...approval,
    },
    { ...inScope, dependsOn: cluster.ready },
  );

  const rolloutArgs: RollingUpgradeArgs = {
    nodes: rolloutNodes,
    endpoints,
    after: [...cluster.ready, membership],
    schematicId: factory.schematicId,
    ...clientAccess,
    kubernetesVersion: settings.kubernetesVersion,
    kubernetesHops,
    drain,
    storageGate,
    maxUnavailableWorkers: upgrade.workers.maxUnavailable,
    pools: upgrade.pools,
    timeoutSeconds: upgrade.timeout,
    allowSkew: upgrade.allowSkew,
    prePull: upgrade.prePull,
    ...etcd,
    windows: upgrade.windows,
    outsideWindow: upgrade.outsideWindow,
    gates: upgrade.gates.map(({ timeout, ...gate }) => ({ ...gate, timeoutSeconds: timeout })),
    // No node name contains a space.
    refusals: { ...cluster.refusals, "the list of nodes": membership.refused },
    ...approval,
  };
  const rollout = new RollingUpgrade(named("upgrade"), rolloutArgs, inScope);

  // After Talos, which must support the new Kubernetes. Without the setting, this stack doesn't manage the Kubernetes release.
  const kubernetesUpgrade =
    settings.kubernetesVersion === undefined
      ? undefined
      : new KubernetesUpgrade(
          named("kubernetes-upgrade"),
          {
            kubernetesVersion: settings.kubernetesVersion,
            nodes: kubernetesNodes,
            endpoints,
            ...clientAccess,
            drain: { ...drain, enabled: drain.enabled && wanted.nodes.length > 1 },
            storageGate,
            timeoutSeconds: upgrade.timeout,
            prePull: upgrade.prePull,
            ...toKubernetes,
            rollout: rolloutPolicy(rolloutArgs).ofAll(),
            ...approval,
          },
          { ...inScope, dependsOn: rollout },
        );

  const kubernetes = new k8s.Provider(
    named("kubernetes"),
    {
      kubeconfig: cluster.kubeconfig,
      // Without it, an unknown kubeconfig, like every renewed one in its preview, replaces the provider and all its objects.
      clusterIdentifier: cluster.clusterId,
      enableServerSideApply: true,
      // A changed password updates its Secret, which restarts the pods; a replacement would remove the Secret for a moment.
      enableSecretMutable: true,
    },
    // The plugin reads the API server's schema once, when it is configured: not while a control plane is new or restarting.
    { ...inScope, dependsOn: [rollout, ...(kubernetesUpgrade === undefined ? [] : [kubernetesUpgrade])] },
  );
  // The provider depends on all nodes: one dependency instead of hundreds per object.
  const onIscsiNodes = {
    ...hiding,
    transformations: [...hiding.transformations, recordTypes(declared)],
    provider: kubernetes,
    dependsOn: [kubernetes as pulumi.Resource],
  };
  const snapshots =
    settings.snapshotController?.install === true
      ? new SnapshotController(named("snapshots"), settings.snapshotController, onIscsiNodes)
      : undefined;
  const afterSnapshots = {
    ...onIscsiNodes,
    dependsOn: [...onIscsiNodes.dependsOn, ...(snapshots === undefined ? [] : [snapshots])],
  };
  const iscsiNodes = wanted.nodes.flatMap(({ name, iscsi }) => (iscsi ? [name] : []));
  const placed = {
    ...(iscsiNodes.length === wanted.nodes.length ? {} : { nodesWithoutIscsi: true }),
    ...(settings.joviandss?.probe?.enabled !== true && settings.synology?.probe?.enabled !== true
      ? {}
      : {
          probeOn: {
            kubeconfig: cluster.kubeconfig,
            nodes: runningImages(rollout.nodes, iscsiNodes, settings.kubernetesVersion),
          },
        }),
  };
  const joviandss =
    settings.joviandss === undefined
      ? undefined
      : new JovianDssCsi(named("joviandss"), { ...settings.joviandss, ...placed }, afterSnapshots);
  for (const { name, labels } of settings.namespaces)
    new PrivilegedNamespace(named(name), { name, labels }, onIscsiNodes);
  const synology =
    settings.synology === undefined
      ? undefined
      : new SynologyCsi(named("synology"), { ...settings.synology, ...placed }, afterSnapshots);

  return {
    schematicId: factory.schematicId,
    installerImage: factory.installerImage,
    isoUrl: factory.isoUrl,
    pxeUrl: factory.pxeUrl,
    images: imagesOfNodes.table,
    endpoint: wanted.endpoint,
    talosconfig: cluster.talosconfig,
    kubeconfig: cluster.kubeconfig,
    machineConfigurations: settings.outputs.machineConfigurations
      ? cluster.redactedConfigurations
      : undefined,
    nodes: rollout.table,
    etcdSnapshot: upgrade.etcdSnapshot === undefined ? undefined : rollout.etcdSnapshot,
    postponed: upgrade.windows.length === 0 ? undefined : rollout.postponed,
    storageClasses: pulumi
      .all([joviandss?.storageClassNames ?? [], synology?.storageClassNames ?? []])
      .apply((names) => names.flat()),
    storageProbe: probedVolumes({ joviandss: joviandss?.probe, synology: synology?.probe }),
  };
}

/**
 * A Talos cluster with iSCSI storage as one resource: what this project's stack declares, for use in another program.
 *
 * @example `new IscsiCluster("prod", parseSettings({ talosVersion: "v1.13.9", cluster: { name: "prod", … } }))`
 */
export class IscsiCluster extends pulumi.ComponentResource {
  /** The cluster's outputs: kubeconfig, talosconfig, images, what each node runs. */
  readonly outputs: IscsiClusterOutputs;

  /** @param settings the result of `parseSettings`, which validates them and reports every mistake at once. */
  constructor(name: string, settings: Settings, opts?: pulumi.ComponentResourceOptions) {
    super("talos-iscsi:index:IscsiCluster", name, {}, opts);
    for (const warning of settings.warnings)
      void pulumi.log.warn(coded(problemCode(warning), `${warning.path} ${warning.reason}`), this);
    this.outputs = declareCluster(settings, this, (part) => `${name}-${part}`);
    this.registerOutputs(this.outputs);
  }
}
