import * as pulumi from "@pulumi/pulumi";
import * as talos from "@pulumiverse/talos";
import { kubeconfigRenewal } from "../talos/adminKubeconfig.ts";
import type { MachineConfigPatchSpec } from "../talos/machineConfigPatches.ts";
import { endpointsFor, reach, type Endpoints } from "../talos/endpoint.ts";
import { isGeneratedHere } from "../talos/iscsi.ts";
import type { MachineSecrets } from "../talos/secretsBundle.ts";
import type { NamedHardware } from "../talos/hardware/named.ts";
import { wantedHardware, type WantedNode } from "../talos/hardware/wanted.ts";
import type { KnownSecret } from "../talos/secrecy/known.ts";
import { formerConfiguration, NodeConfiguration } from "./machineConfiguration.ts";
import type { ClientConfiguration, NodeConfigurationArgs } from "./machineConfiguration.ts";
import { addressesOfRole, firstControlPlane, sortForApply } from "./applyOrder.ts";
import { previewInputs } from "./clusterInputs.ts";
import { issueClientCredentials, providedCredentials, requireCredentials } from "./clientCredentials.ts";
import { withoutStackTraces } from "./stackTraces.ts";
import { gatherNamed } from "./outputs.ts";
import type { ConfirmedPlan } from "./rolloutReadiness.ts";
import { mergedConfiguration, type MergedConfiguration } from "./nodeConfiguration.ts";

/** A node of the cluster, as needed for its machine configuration. */
export interface TalosClusterNode {
  /** Host name, and part of the names of its resources. */
  name: string;
  /** IP address or DNS name of its Talos API, without a port. */
  address: string;
  /** Control planes get their configurations first, one at a time. */
  role: "controlplane" | "worker";
  /** Talos release to run, such as `v1.13.9`. */
  talosVersion: string;
  /** Installer image in its machine configuration, so that a reinstalled machine comes back the same. */
  installerImage: pulumi.Input<string>;
  /** Disk that Talos is installed to, such as `/dev/nvme0n1`. Default: Talos's own. */
  installDisk?: string | undefined;
  /** Selects the disk by its properties, instead of `installDisk`. */
  diskSelector?: MachineConfigPatchSpec["diskSelector"];
  /** Host name to set. Default: `name` on a new cluster; on an existing one nothing is set. */
  hostname?: string | undefined;
  /** Static addresses and name servers. Default: DHCP on every link. */
  network?: MachineConfigPatchSpec["network"];
  /** Kernel modules to load at boot, instead of the cluster's `kernelModules`: none on a node without iSCSI. */
  kernelModules?: string[] | undefined;
  /** Labels of the Kubernetes node. Default: none. */
  labels?: Record<string, string> | undefined;
  /** Taints of the Kubernetes node in Talos's format, `{ "nvidia.com/gpu": "present:NoSchedule" }`. Default: none. */
  taints?: Record<string, string> | undefined;
  /** Machine configuration patches only for this node (YAML), applied last. */
  patches: string[];
  /**
   * Machine configuration of a running node, as its owner has it on file: everything in it stays, and patches are applied on top. Secret. Default: one is
   * generated from the cluster's secrets.
   */
  baseConfiguration?: string | undefined;
}

/** Secrets of an existing cluster to adopt. */
export interface ExistingCluster {
  /** Its secrets, as in `talosctl gen secrets` or its machine configurations. */
  machineSecrets: pulumi.Input<MachineSecrets>;
  /** Credentials of its talosconfig, role os:admin. Not needed with `renewCredentials`. */
  clientConfiguration?: pulumi.Input<ClientConfiguration> | undefined;
}

/** A new or running cluster: its nodes and their machine configurations. */
export interface TalosClusterArgs {
  /** Name of the cluster. */
  clusterName: string;
  /** URL of the Kubernetes API, such as `https://10.0.0.10:6443`. */
  endpoint: string;
  /** All nodes. The first control plane bootstraps a new cluster. */
  nodes: TalosClusterNode[];
  /** Endpoints of the nodes, as for a NodeUpgrade; the talosconfig contains those of the control planes. Default: their own addresses. */
  endpoints?: Endpoints | undefined;
  /**
   * Format of the machine configuration, such as `v1.12`: the Talos minor release the cluster was created with. Required for an existing cluster. For a new one
   * it is stored with the secrets at the first `up`, and later releases don't change it (a changed contract is how clusters lost their secretbox key,
   * siderolabs/talos#13885).
   */
  contract?: string | undefined;
  /** Contract of a new cluster if `contract` is absent, such as `v1.13`. */
  initialContract: string;
  /** Kubernetes release in the machine configuration, such as `v1.35.4`. Default: the Talos provider's. */
  kubernetesVersion?: string | undefined;
  /** Namespaces exempt from PodSecurity: those of the CSI drivers. Empty: no security patch. */
  exemptNamespaces: string[];
  /** Kernel modules to load at boot. */
  kernelModules: string[];
  /** CIDRs of the pods, such as `10.244.0.0/16`. Default: Talos's. */
  podSubnets?: string[] | undefined;
  /** CIDRs of the services, such as `10.96.0.0/12`. Default: Talos's. */
  serviceSubnets?: string[] | undefined;
  /** A virtual IP that the control planes share. Default: none. */
  vip?: MachineConfigPatchSpec["vip"];
  /** Patches (YAML) by role, applied after the built-in ones and before a node's own. */
  patches: { all: string[]; controlplane: string[]; worker: string[] };
  /** Paths of the machine configurations that nodes may lose, including everything below: `machine.sysctls`. Default: none. */
  acceptDropped?: string[] | undefined;
  /** Values in the machine configurations that must never be shown, whatever their names: those provided as secrets. Default: none. */
  hidden?: readonly KnownSecret[] | undefined;
  /** Issue the stack's credentials from the cluster's CA, instead of using provided ones or those created with the secrets. Default: false. */
  renewCredentials?: boolean | undefined;
  /** Refuse to delete the secrets created here, as `pulumi destroy` would. No effect on an existing cluster. */
  protectSecrets: boolean;
  /** The secrets of a running cluster. Absent: a new cluster, bootstrapped here. */
  existing?: ExistingCluster | undefined;
  /** What must exist before the first node gets its configuration, such as the image that the configurations name. Default: nothing. */
  after?: pulumi.Resource[] | undefined;
  /** How to drain a node whose kubelet must not restart under volumes. Default: an upgrade's default. */
  kubeletRestart?: Pick<NodeConfigurationArgs, "drain" | "storageGate"> | undefined;
  /** Time limit for the control planes to be healthy (the others before a node's configuration changes, all of them after it), in seconds. Default: 600. */
  configurationTimeoutSeconds?: number | undefined;
  /** What to do if a machine lacks hardware that its first configuration names. Default: refuse. */
  checkHardware?: NodeConfigurationArgs["checkHardware"];
  /** Creates the resource that checks the nodes before the first one gets its configuration. Default: nothing. */
  look?: ((cluster: ClusterToBe) => Look) | undefined;
}

/** What is known about a cluster before its nodes get their configurations. */
export interface ClusterToBe {
  clientConfiguration: pulumi.Output<ClientConfiguration>;
  /** Each node's desired machine configuration and its patches, by node name. Secret. */
  configurations: Record<string, MergedConfiguration>;
  /** The contract of the machine configurations. */
  contract: pulumi.Output<string>;
  /** The hardware in the nodes' configurations, by node name. */
  named: Record<string, NamedHardware[]>;
}

/** The resource that checks the nodes before they get their configurations. */
export interface Look {
  resource: pulumi.Resource;
  /** What it confirmed, if a plan must be approved. */
  approval?: ConfirmedPlan | undefined;
  /** Why machines are refused, in a preview. */
  refused?: pulumi.Output<string | undefined> | undefined;
}

/**
 * A Talos cluster: secrets, a machine configuration per node with the security and module patches, their application, the bootstrap of a new cluster, and its
 * credentials.
 *
 * Configurations are applied to one control plane at a time, each healthy again before the next (a change to admission control restarts kube-apiserver), then
 * to all workers. A configuration that would drop what a running node has is refused in the preview.
 */
export class TalosCluster extends pulumi.ComponentResource {
  /** Talos API credentials, role os:admin, base64 as in a talosconfig. Secret. */
  declare readonly clientConfiguration: pulumi.Output<ClientConfiguration>;
  /** A talosconfig for talosctl. Secret. */
  declare readonly talosconfig: pulumi.Output<string>;
  /** An admin kubeconfig. Secret. */
  declare readonly kubeconfig: pulumi.Output<string>;
  /** Every node's machine configuration with secrets redacted, by node name. */
  declare readonly redactedConfigurations: pulumi.Output<Record<string, string>>;
  /** The cluster's ID, created with its secrets: it stays the same when the cluster's name, endpoint or certificate changes. Secret. */
  declare readonly clusterId: pulumi.Output<string>;
  /** What must be done before anything else happens to the nodes: all configurations applied, etcd bootstrapped. */
  declare readonly ready: pulumi.Resource[];
  /** Why machine configurations are refused in a preview, by node name; refused machines have their own key. */
  declare readonly refusals: Record<string, pulumi.Output<string | undefined>>;
  /** What `look` confirmed: an input of everything else that disturbs a node. Undefined if no plan must be approved. */
  declare readonly approval: ConfirmedPlan | undefined;

  private readonly cluster: string;

  constructor(name: string, args: TalosClusterArgs, opts?: pulumi.ComponentResourceOptions) {
    // The first preview of a new cluster shows the requested settings; later ones show each node's change with its configuration.
    const shownOnce = { hideDiffs: ["nodes", "patches"] };
    super("talos-iscsi:index:TalosCluster", name, previewInputs(args), pulumi.mergeOptions(opts, shownOnce));
    this.cluster = name;
    const first = firstControlPlane(args.nodes);
    const own = this.identity(args);
    const issued =
      args.renewCredentials === true ? issueClientCredentials(talosAuthority(own), this) : undefined;
    const identity = { ...own, clientConfiguration: requireCredentials(issued ?? own.clientConfiguration) };
    this.clientConfiguration = identity.clientConfiguration;
    this.clusterId = identity.machineSecrets.apply((secrets) => unwrapSecrets(secrets).cluster.id);
    const { configurations, look } = withoutStackTraces(() => this.applyConfigurations(args, identity));
    this.approval = look?.approval;
    const applied = Object.values(configurations);
    const bootstrap = args.existing === undefined ? [this.bootstrap(args, first, applied)] : [];
    this.ready = [...applied, ...bootstrap];
    this.refusals = {
      ...(look?.refused === undefined ? {} : { "the machines": look.refused }),
      ...Object.fromEntries(Object.entries(configurations).map(([node, { refused }]) => [node, refused])),
    };
    this.redactedConfigurations = gatherNamed(
      Object.fromEntries(Object.entries(configurations).map(([node, { redacted }]) => [node, redacted])),
    );
    this.kubeconfig = this.fetchKubeconfig(args, first);
    this.talosconfig = this.makeTalosconfig(args);
    this.registerOutputs({
      clientConfiguration: this.clientConfiguration,
      talosconfig: this.talosconfig,
      kubeconfig: this.kubeconfig,
    });
  }

  /** The cluster's secrets and the contract they were generated for: provided, or generated once and kept in the state. */
  private identity(args: TalosClusterArgs): ProvidedIdentity {
    if (args.existing !== undefined) {
      return {
        machineSecrets: pulumi.secret(args.existing.machineSecrets),
        clientConfiguration: providedCredentials(args.existing.clientConfiguration),
        contract: pulumi.output(args.contract ?? args.initialContract),
      };
    }
    const secrets = new talos.machine.Secrets(
      `${this.cluster}-secrets`,
      { talosVersion: args.contract ?? args.initialContract },
      // ignoreChanges keeps the contract of the first `up`; protect, since these secrets are the only way into the cluster. Secret as a whole: only the
      // provider knows which fields are secret, and a new field may be forgotten.
      {
        parent: this,
        ignoreChanges: ["talosVersion"],
        protect: args.protectSecrets,
        additionalSecretOutputs: ["machineSecrets", "clientConfiguration"],
      },
    );
    return {
      machineSecrets: pulumi.secret(secrets.machineSecrets),
      clientConfiguration: pulumi.secret(secrets.clientConfiguration),
      contract: args.contract === undefined ? secrets.talosVersion : pulumi.output(args.contract),
      createdWith: secrets.talosVersion,
    };
  }

  private applyConfigurations(
    args: TalosClusterArgs,
    identity: Identity,
  ): { configurations: Record<string, NodeConfiguration>; look: Look | undefined } {
    const applied: Record<string, NodeConfiguration> = {};
    const controlPlanes = addressesOfRole(args.nodes, "controlplane");
    const wanted = Object.fromEntries(
      args.nodes.map((node) => [node.name, machineConfiguration(args, node, identity, this)]),
    );
    const look = args.look?.({
      named: namedHardwareByNode(args),
      clientConfiguration: identity.clientConfiguration,
      contract: identity.contract,
      configurations: Object.fromEntries(Object.entries(wanted)),
    });
    const before = [...(args.after ?? []), ...(look === undefined ? [] : [look.resource])];
    let lastControlPlane: NodeConfiguration | undefined;
    for (const node of sortForApply(args.nodes)) {
      const { text, patches } = wanted[node.name] ?? machineConfiguration(args, node, identity, this);
      const name = `${this.cluster}-config-${node.name}`;
      const apply: NodeConfiguration = new NodeConfiguration(
        name,
        {
          name: node.name,
          node: node.address,
          role: node.role,
          controlPlanes,
          endpoints: endpointsFor(args.endpoints, [node.address, ...controlPlanes]),
          clientConfiguration: identity.clientConfiguration,
          machineConfiguration: text,
          patches,
          acceptDropped: args.acceptDropped ?? [],
          hidden: args.hidden ?? [],
          contract: identity.contract,
          createdWith: identity.createdWith,
          timeoutSeconds: args.configurationTimeoutSeconds,
          checkHardware: args.checkHardware,
          ...args.kubeletRestart,
          approval: look?.approval,
        },
        {
          parent: this,
          aliases: [formerConfiguration(name, this)],
          dependsOn: [...before, ...(lastControlPlane === undefined ? [] : [lastControlPlane])],
        },
      );
      if (node.role === "controlplane") lastControlPlane = apply;
      applied[node.name] = apply;
    }
    return { configurations: applied, look };
  }

  private bootstrap(
    args: TalosClusterArgs,
    first: TalosClusterNode,
    applied: pulumi.Resource[],
  ): pulumi.Resource {
    return new talos.machine.Bootstrap(
      `${this.cluster}-bootstrap`,
      this.speakingTo(first, args.endpoints),
      // A cluster is bootstrapped once: another first control plane must not bootstrap it again, which etcd refuses.
      { parent: this, dependsOn: applied, ignoreChanges: ["node", "endpoint", "clientConfiguration"] },
    );
  }

  private fetchKubeconfig(args: TalosClusterArgs, first: TalosClusterNode): pulumi.Output<string> {
    const kubeconfig = new talos.cluster.Kubeconfig(
      `${this.cluster}-kubeconfig`,
      { ...this.speakingTo(first, args.endpoints), certificateRenewalDuration: renewalOf(args, first) },
      { parent: this, dependsOn: this.ready },
    );
    return pulumi.secret(kubeconfig.kubeconfigRaw);
  }

  /** What the Talos provider needs to reach a node. It takes only one endpoint. */
  private speakingTo({ address }: TalosClusterNode, endpoints: Endpoints | undefined) {
    const [endpoint = address] = reach(address, endpoints);
    return { clientConfiguration: this.clientConfiguration, node: address, endpoint };
  }

  private makeTalosconfig(args: TalosClusterArgs): pulumi.Output<string> {
    const controlPlanes = addressesOfRole(args.nodes, "controlplane");
    const endpoints = [...new Set(controlPlanes.flatMap((address) => reach(address, args.endpoints)))];
    const made = talos.client.getConfigurationOutput(
      {
        clusterName: args.clusterName,
        clientConfiguration: this.clientConfiguration,
        endpoints,
        nodes: args.nodes.map((node) => node.address),
      },
      { parent: this },
    );
    return pulumi.secret(made.talosConfig);
  }
}

/** Secrets inside a value that is secret as a whole are wrapped twice, and the SDK doesn't unwrap the inner ones. */
function unwrapSecrets(secrets: MachineSecrets): MachineSecrets {
  return pulumi.runtime.unwrapRpcSecret(secrets) as MachineSecrets;
}

/** The CA of the cluster's Talos API. */
function talosAuthority({ machineSecrets }: ProvidedIdentity): pulumi.Output<{ cert: string; key: string }> {
  return machineSecrets.apply((secrets) => unwrapSecrets(secrets).certs.os);
}

interface Identity extends ProvidedIdentity {
  clientConfiguration: pulumi.Output<ClientConfiguration>;
}

interface ProvidedIdentity {
  machineSecrets: pulumi.Output<MachineSecrets>;
  clientConfiguration: pulumi.Output<ClientConfiguration> | undefined;
  contract: pulumi.Output<string>;
  /** The contract the secrets were generated for, if they were generated here. */
  createdWith?: pulumi.Output<string>;
}

function machineConfiguration(
  args: TalosClusterArgs,
  node: TalosClusterNode,
  identity: Identity,
  parent: pulumi.Resource,
): MergedConfiguration {
  return mergedConfiguration(
    {
      clusterName: args.clusterName,
      endpoint: args.endpoint,
      kubernetesVersion: args.kubernetesVersion,
      ...identity,
      installerImage: node.installerImage,
      generateHere: isGeneratedHere(args.contract ?? args.initialContract),
      base: node.baseConfiguration,
      patches: nodePatches(args, node),
    },
    parent,
  );
}

function nodePatches(args: TalosClusterArgs, node: TalosClusterNode): WantedNode["patches"] {
  return {
    role: node.role,
    talosVersion: node.talosVersion,
    // A running cluster keeps its host names: another name is another Kubernetes node.
    hostname: node.hostname ?? (args.existing === undefined ? node.name : undefined),
    installDisk: node.installDisk,
    diskSelector: node.diskSelector,
    network: node.network,
    vip: args.vip,
    exemptNamespaces: args.exemptNamespaces,
    kernelModules: node.kernelModules ?? args.kernelModules,
    labels: node.labels,
    taints: node.taints,
    podSubnets: args.podSubnets,
    serviceSubnets: args.serviceSubnets,
    user: [...args.patches.all, ...args.patches[node.role], ...node.patches],
  };
}

function renewalOf(args: TalosClusterArgs, first: TalosClusterNode): string | undefined {
  const contract = args.contract ?? args.initialContract;
  const issuer = { base: first.baseConfiguration, contract, patches: nodePatches(args, first).user };
  return kubeconfigRenewal(issuer, args.renewCredentials === true);
}

/** Known in the first preview, when the configurations are not. */
function namedHardwareByNode(args: TalosClusterArgs): Record<string, NamedHardware[]> {
  const nodes = args.nodes.map((node) => ({
    name: node.name,
    patches: nodePatches(args, node),
    base: node.baseConfiguration,
  }));
  return wantedHardware(nodes, args.contract ?? args.initialContract);
}
