import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import { csiNamespaces } from "./components/csi/csiProblems.ts";
import { JovianDssCsi } from "./components/csi/joviandss.ts";
import { PrivilegedNamespace } from "./components/csi/privilegedNamespace.ts";
import { SnapshotController } from "./components/csi/snapshots.ts";
import { SynologyCsi } from "./components/csi/synology.ts";
import { drainArgs } from "./components/drainArgs.ts";
import { storageGateArgs } from "./components/storageGateArgs.ts";
import { ClusterMembership } from "./components/clusterMembership.ts";
import { hideValues } from "./components/hiddenValues.ts";
import { FactoryImage } from "./components/factoryImage.ts";
import { nodeImages, nodeParts } from "./components/nodeImages.ts";
import { preflightInputs, RollingUpgrade } from "./components/rollingUpgrade.ts";
import { RolloutReadiness } from "./components/rolloutReadiness.ts";
import { TalosCluster } from "./components/talosCluster.ts";
import { loadSettings } from "./config.ts";
import { endpointsByAddress } from "./talos/endpoint.ts";
import { newestContract } from "./talos/iscsi.ts";

const settings = loadSettings();
const { cluster: wanted, upgrade } = settings;
for (const { path, reason } of settings.warnings) void pulumi.log.warn(`${path} ${reason}`);

// What was given as a secret is one in every resource that gets it. The nodes' resources have it in their machine configurations alone.
const hiding = { transformations: hideValues(settings.hidden.values) };

const endpoints = endpointsByAddress(wanted.nodes, wanted.talosEndpoints);

const factory = new FactoryImage("image", { ...settings.image, talosVersion: settings.talosVersion }, hiding);
const imagesOfNodes = nodeImages(factory, settings, hiding);

const rolloutNodes = wanted.nodes.map((node) => ({ ...node, ...imagesOfNodes.upgradeOf(node) }));
const etcd = {
  etcdSnapshot:
    upgrade.etcdSnapshot === undefined ? undefined : { cluster: wanted.name, ...upgrade.etcdSnapshot },
  etcdDowngrade: upgrade.etcdDowngrade,
};

const cluster = new TalosCluster(
  "cluster",
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
    initialContract: newestContract(settings.talosVersion),
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
    existing: wanted.secrets,
    after: imagesOfNodes.confirmed,
    look: (clientConfiguration) =>
      new RolloutReadiness(
        "readiness",
        {
          nodes: Object.fromEntries(
            rolloutNodes.map((node) => [node.name, { ...preflightInputs(node), onRemove: node.onRemove }]),
          ),
          schematicId: factory.schematicId,
          controlPlanes: wanted.nodes.flatMap(({ role, address }) =>
            role === "controlplane" ? [address] : [],
          ),
          clientConfiguration,
          onRemove: wanted.onRemove,
          endpoints,
          kubernetesVersion: settings.kubernetesVersion,
          timeoutSeconds: upgrade.timeout,
          allowSkew: upgrade.allowSkew,
          ...etcd,
        },
        { dependsOn: imagesOfNodes.confirmed },
      ),
  },
  { provider: factory.provider },
);

const clientAccess = { clientConfiguration: cluster.clientConfiguration, kubeconfig: cluster.kubeconfig };
const drain = drainArgs(upgrade.drain);

// Before the rollout: who leaves is no longer a member of etcd when the others are looked at.
const membership = new ClusterMembership(
  "membership",
  {
    nodes: Object.fromEntries(
      wanted.nodes.map(({ name, address, role, onRemove }) => [name, { node: address, role, onRemove }]),
    ),
    onRemove: wanted.onRemove,
    endpoints,
    ...clientAccess,
    drain,
    timeoutSeconds: upgrade.timeout,
  },
  { dependsOn: cluster.ready },
);

const rollout = new RollingUpgrade("upgrade", {
  nodes: rolloutNodes,
  endpoints,
  after: [...cluster.ready, membership],
  schematicId: factory.schematicId,
  ...clientAccess,
  kubernetesVersion: settings.kubernetesVersion,
  drain,
  storageGate: storageGateArgs(upgrade.storageGate, settings.joviandss),
  maxUnavailableWorkers: upgrade.workers.maxUnavailable,
  pools: upgrade.pools,
  timeoutSeconds: upgrade.timeout,
  allowSkew: upgrade.allowSkew,
  prePull: upgrade.prePull,
  ...etcd,
  windows: upgrade.windows,
  outsideWindow: upgrade.outsideWindow,
  gates: upgrade.gates.map(({ timeout, ...gate }) => ({ ...gate, timeoutSeconds: timeout })),
});

const kubernetes = new k8s.Provider(
  "kubernetes",
  {
    kubeconfig: cluster.kubeconfig,
    // Without it a kubeconfig that is not known yet, as every renewed one in its preview, replaces the provider and all objects with it.
    clusterIdentifier: cluster.clusterId,
    enableServerSideApply: true,
    // A changed password is an update of its Secret, which rolls the pods; replaced, the Secret would be gone for a moment.
    enableSecretMutable: true,
  },
  // The plugin asks the API server for its schema once, when it is configured: not while a control plane is new or restarts.
  { dependsOn: rollout },
);
// The provider depends on all nodes: one dependency in place of hundreds for each object.
const onIscsiNodes = { ...hiding, provider: kubernetes, dependsOn: [kubernetes as pulumi.Resource] };
const snapshots =
  settings.snapshotController?.install === true
    ? new SnapshotController("snapshots", settings.snapshotController, onIscsiNodes)
    : undefined;
const afterSnapshots = {
  ...onIscsiNodes,
  dependsOn: [...onIscsiNodes.dependsOn, ...(snapshots === undefined ? [] : [snapshots])],
};
const placed = wanted.nodes.every(({ iscsi }) => iscsi) ? {} : { nodesWithoutIscsi: true };
const joviandss =
  settings.joviandss === undefined
    ? undefined
    : new JovianDssCsi("joviandss", { ...settings.joviandss, ...placed }, afterSnapshots);
for (const { name, labels } of settings.namespaces)
  new PrivilegedNamespace(name, { name, labels }, onIscsiNodes);
const synology =
  settings.synology === undefined
    ? undefined
    : new SynologyCsi("synology", { ...settings.synology, ...placed }, afterSnapshots);

/** ID of the Image Factory's schematic. */
export const schematicId = factory.schematicId;
/** Installer image that the nodes run. */
export const installerImage = factory.installerImage;
/** ISO that boots a new machine into maintenance mode. */
export const isoUrl = factory.isoUrl;
/** iPXE script that boots a new machine into maintenance mode. */
export const pxeUrl = factory.pxeUrl;
/**
 * Every image by name, where there are several: schematic, installer, architecture, ISO, iPXE script and disk image. `image` is called `default`.
 * Absent without `images`.
 */
export const images = imagesOfNodes.table;
/** URL of the Kubernetes API. */
export const endpoint = wanted.endpoint;
/** Admin credentials for talosctl: `pulumi stack output talosconfig --show-secrets > talosconfig`. */
export const talosconfig = cluster.talosconfig;
/** Admin credentials for kubectl: `pulumi stack output kubeconfig --show-secrets > kubeconfig`. */
export const kubeconfig = cluster.kubeconfig;
/** Every node's machine configuration with marks in place of its secrets. Absent without `outputs.machineConfigurations`. */
export const machineConfigurations = settings.outputs.machineConfigurations
  ? cluster.redactedConfigurations
  : undefined;
/** What each node runs, as it was read from the node itself, by the node's name. */
export const nodes = rollout.table;
/** The last snapshot of etcd that a rollout has taken: path, size, revision and SHA-256. Absent without `upgrade.etcdSnapshot`. */
export const etcdSnapshot = upgrade.etcdSnapshot === undefined ? undefined : rollout.etcdSnapshot;
/** Nodes that wait for an upgrade window, and why; empty when every node runs what it is to run. Absent without `upgrade.windows`. */
export const postponed = upgrade.windows.length === 0 ? undefined : rollout.postponed;
/** StorageClasses that workloads can ask for. */
export const storageClasses = pulumi
  .all([joviandss?.storageClassNames ?? [], synology?.storageClassNames ?? []])
  .apply((names) => names.flat());
