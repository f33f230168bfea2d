import * as pulumi from "@pulumi/pulumi";
import * as talos from "@pulumiverse/talos";
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
import { issueClientCredentials } from "./clientCredentials.ts";
import { withoutStackTraces } from "./stackTraces.ts";
import { gatherNamed } from "./outputs.ts";
import type { ConfirmedPlan } from "./rolloutReadiness.ts";
import { mergedConfiguration, type MergedConfiguration } from "./nodeConfiguration.ts";

/** A node of the cluster as its machine configuration needs it. */
export interface TalosClusterNode {
  /** Host name, and part of the names of its resources. */
  name: string;
  /** IP address or DNS name of its Talos API, without a port. */
  address: string;
  /** Control planes get their configurations first, one after the other. */
  role: "controlplane" | "worker";
  /** Talos release that the node is to run, such as `v1.13.9`. */
  talosVersion: string;
  /** Installer image that its machine configuration names, so that a re-installed machine comes back as it was. */
  installerImage: pulumi.Input<string>;
  /** Disk that Talos is installed to, such as `/dev/nvme0n1`. Default: what Talos generates. */
  installDisk?: string | undefined;
  /** The disk by what it is, in place of `installDisk`. */
  diskSelector?: MachineConfigPatchSpec["diskSelector"];
  /** Host name to set. Default: `name` on a new cluster; on an existing one nothing is set. */
  hostname?: string | undefined;
  /** Static addresses and name servers. Default: DHCP on every link. */
  network?: MachineConfigPatchSpec["network"];
  /** Kernel modules to load at boot, in place of the cluster's `kernelModules`: none on a node without iSCSI. */
  kernelModules?: string[] | undefined;
  /** Labels of the Kubernetes node. Default: none. */
  labels?: Record<string, string> | undefined;
  /** Taints of the Kubernetes node as Talos writes them, `{ "nvidia.com/gpu": "present:NoSchedule" }`. Default: none. */
  taints?: Record<string, string> | undefined;
  /** Machine configuration patches for this node alone (YAML), applied last. */
  patches: string[];
  /**
   * Machine configuration of a node that runs already, as its owner has it on file: all that is in it stays, and patches come on top. Secret.
   * Default: one is generated from the cluster's secrets.
   */
  baseConfiguration?: string | undefined;
}

/** Secrets of a cluster that was created elsewhere and is adopted. */
export interface ExistingCluster {
  /** Its secrets, as `talosctl gen secrets` or its machine configurations hold them. */
  machineSecrets: pulumi.Input<MachineSecrets>;
  /** Credentials of its talosconfig, role os:admin. */
  clientConfiguration: pulumi.Input<ClientConfiguration>;
}

/** A cluster, new or running: its nodes, and what their machine configurations say. */
export interface TalosClusterArgs {
  /** Name of the cluster. */
  clusterName: string;
  /** URL of the Kubernetes API, such as `https://10.0.0.10:6443`. */
  endpoint: string;
  /** All nodes. The first control plane bootstraps a new cluster. */
  nodes: TalosClusterNode[];
  /** Where nodes are reached, as for a NodeUpgrade; the talosconfig has the control planes' ones. Default: at their own addresses. */
  endpoints?: Endpoints | undefined;
  /**
   * Shape of the machine configuration, such as `v1.12`: the Talos minor release the cluster was made with. Required for an existing
   * cluster. For a new one it is recorded with the secrets at the first `up`, and later releases do not move it
   * (a moved contract is how clusters lost their secretbox key, siderolabs/talos#13885).
   */
  contract?: string | undefined;
  /** Contract that a new cluster starts with when `contract` is absent, such as `v1.13`. */
  initialContract: string;
  /** Kubernetes release in the machine configuration, such as `v1.35.4`. Default: that of the Talos provider. */
  kubernetesVersion?: string | undefined;
  /** Namespaces whose pods PodSecurity leaves alone: those of the CSI drivers. Empty: no security patch. */
  exemptNamespaces: string[];
  /** Kernel modules to load at boot. */
  kernelModules: string[];
  /** CIDRs of the pods, such as `10.244.0.0/16`. Default: that of Talos. */
  podSubnets?: string[] | undefined;
  /** CIDRs of the services, such as `10.96.0.0/12`. Default: that of Talos. */
  serviceSubnets?: string[] | undefined;
  /** A virtual IP that the control planes share. Default: none. */
  vip?: MachineConfigPatchSpec["vip"];
  /** Patches (YAML) by role, applied after ours and before those of a node. */
  patches: { all: string[]; controlplane: string[]; worker: string[] };
  /** Paths of the machine configurations that nodes may lose, with all that is below: `machine.sysctls`. Default: none. */
  acceptDropped?: string[] | undefined;
  /** Values in the machine configurations that nothing may show, whatever their names: those that were given as secrets. Default: none. */
  hidden?: readonly KnownSecret[] | undefined;
  /** Issue the stack's credentials from the cluster's CA, in place of those given or made with the secrets. Default: false. */
  renewCredentials?: boolean | undefined;
  /** Refuse to delete the secrets made here, as `pulumi destroy` would. Without effect on an existing cluster. */
  protectSecrets: boolean;
  /** The cluster runs already: its secrets. Absent: a new cluster, bootstrapped here. */
  existing?: ExistingCluster | undefined;
  /** What must exist before the first node gets its configuration, such as the image that the configurations name. Default: nothing. */
  after?: pulumi.Resource[] | undefined;
  /** How a node is drained whose kubelet must not restart under volumes. Default: as an upgrade does by default. */
  kubeletRestart?: Pick<NodeConfigurationArgs, "drain" | "storageGate"> | undefined;
  /** How long control planes may take to be well, the others before a node's configuration changes and all of them after it, in seconds. Default: 600. */
  configurationTimeoutSeconds?: number | undefined;
  /** Makes what looks at the nodes before the first node gets its configuration. Default: nothing. */
  look?: ((cluster: ClusterToBe) => Look) | undefined;
}

/** What is known of a cluster before its nodes get their configurations. */
export interface ClusterToBe {
  clientConfiguration: pulumi.Output<ClientConfiguration>;
  /** The machine configuration that each node is to have, and the patches in it, by the node's name. Secret. */
  configurations: Record<string, MergedConfiguration>;
  /** The contract of the machine configurations. */
  contract: pulumi.Output<string>;
  /** What the nodes' configurations name of their machines, by the nodes' names. */
  named: Record<string, NamedHardware[]>;
}

/** What looks at the nodes before they get their configurations. */
export interface Look {
  resource: pulumi.Resource;
  /** What it has confirmed, where a plan has to be approved. */
  approval?: ConfirmedPlan | undefined;
  /** Why machines are refused, in a preview. */
  refused?: pulumi.Output<string | undefined> | undefined;
}

/**
 * A Talos cluster: secrets, a machine configuration per node with the security and the module patch, their application, the
 * bootstrap of a new cluster, and the credentials to use it.
 *
 * Configurations are applied to the control planes one after the other, each well again before the next (a change of the admission control
 * restarts kube-apiserver), then to all workers. What a running node has and would lose is refused in the preview.
 */
export class TalosCluster extends pulumi.ComponentResource {
  /** Talos API credentials, role os:admin, base64 as in a talosconfig. Secret. */
  declare readonly clientConfiguration: pulumi.Output<ClientConfiguration>;
  /** A talosconfig for talosctl. Secret. */
  declare readonly talosconfig: pulumi.Output<string>;
  /** An admin kubeconfig. Secret. */
  declare readonly kubeconfig: pulumi.Output<string>;
  /** Every node's machine configuration with marks in place of its secrets, by the node's name. */
  declare readonly redactedConfigurations: pulumi.Output<Record<string, string>>;
  /** The cluster's ID, made with its secrets: it stays when the cluster gets another name, endpoint or certificate. Secret. */
  declare readonly clusterId: pulumi.Output<string>;
  /** What has to be done before anything else is done with the nodes: all configurations applied, etcd bootstrapped. */
  declare readonly ready: pulumi.Resource[];
  /** Why machine configurations are refused, by the node's name, in a preview; and why machines are, under another name. */
  declare readonly refusals: Record<string, pulumi.Output<string | undefined>>;
  /** What `look` has confirmed: an input of everything else that disturbs a node. Undefined where no plan has to be approved. */
  declare readonly approval: ConfirmedPlan | undefined;

  private readonly cluster: string;

  constructor(name: string, args: TalosClusterArgs, opts?: pulumi.ComponentResourceOptions) {
    // The first preview of a new cluster shows what is asked for; later ones show each node's change with its configuration.
    const shownOnce = { hideDiffs: ["nodes", "patches"] };
    super("talos-iscsi:index:TalosCluster", name, previewInputs(args), pulumi.mergeOptions(opts, shownOnce));
    this.cluster = name;
    const first = firstControlPlane(args.nodes);
    const own = this.identity(args);
    const identity =
      args.renewCredentials === true
        ? { ...own, clientConfiguration: issueClientCredentials(talosAuthority(own), this) }
        : own;
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

  /** The cluster's secrets, and the contract they were made for: brought along, or made once and kept in the state. */
  private identity(args: TalosClusterArgs): Identity {
    if (args.existing !== undefined) {
      return {
        machineSecrets: pulumi.secret(args.existing.machineSecrets),
        clientConfiguration: pulumi.secret(
          // These three alone: a talosconfig's context, endpoints and nodes are no inputs of the provider's resources.
          pulumi
            .output(args.existing.clientConfiguration)
            .apply(({ caCertificate, clientCertificate, clientKey }) => ({
              caCertificate,
              clientCertificate,
              clientKey,
            })),
        ),
        contract: pulumi.output(args.contract ?? args.initialContract),
      };
    }
    const secrets = new talos.machine.Secrets(
      `${this.cluster}-secrets`,
      { talosVersion: args.contract ?? args.initialContract },
      // ignoreChanges keeps the contract of the first `up`; protect, since with these secrets goes the only way into the cluster.
      // Secret as a whole: which fields inside are secret is for the provider to know, and a new field may be forgotten.
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
      // A cluster is bootstrapped once, wherever that was: another first control plane must not have it done again, which etcd refuses.
      { parent: this, dependsOn: applied, ignoreChanges: ["node", "endpoint", "clientConfiguration"] },
    );
  }

  private fetchKubeconfig(args: TalosClusterArgs, first: TalosClusterNode): pulumi.Output<string> {
    const kubeconfig = new talos.cluster.Kubeconfig(
      `${this.cluster}-kubeconfig`,
      {
        ...this.speakingTo(first, args.endpoints),
        // 60 days, as for the talosconfig; by default the provider waits until the last 30.
        ...(args.renewCredentials === true ? { certificateRenewalDuration: "1440h" } : {}),
      },
      { parent: this, dependsOn: this.ready },
    );
    return pulumi.secret(kubeconfig.kubeconfigRaw);
  }

  /** What the Talos provider needs to speak to a node. It takes one endpoint only. */
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

/** Secrets inside of what is secret as a whole arrive in a second wrapping, which the SDK leaves on. */
function unwrapSecrets(secrets: MachineSecrets): MachineSecrets {
  return pulumi.runtime.unwrapRpcSecret(secrets) as MachineSecrets;
}

/** The CA of the cluster's Talos API. */
function talosAuthority({ machineSecrets }: Identity): pulumi.Output<{ cert: string; key: string }> {
  return machineSecrets.apply((secrets) => unwrapSecrets(secrets).certs.os);
}

interface Identity {
  machineSecrets: pulumi.Output<MachineSecrets>;
  clientConfiguration: pulumi.Output<ClientConfiguration>;
  contract: pulumi.Output<string>;
  /** The contract that the secrets were made for, if they were made here. */
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
    // A running cluster keeps the host names it has: another name is another Kubernetes node.
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

/** Known in the first preview, when the configurations themselves are not. */
function namedHardwareByNode(args: TalosClusterArgs): Record<string, NamedHardware[]> {
  const nodes = args.nodes.map((node) => ({
    name: node.name,
    patches: nodePatches(args, node),
    base: node.baseConfiguration,
  }));
  return wantedHardware(nodes, args.contract ?? args.initialContract);
}
