import { createHash } from "node:crypto";
import { pemText } from "../../pki.ts";
import { bootstrapManifests } from "./bootstrapManifests.ts";
import type { Machine } from "../machine/machine.ts";
import type { ResourceContent } from "../machine/resourceContent.ts";
import type { ResourceType } from "./resourceType.ts";

const same = (id: string, spec: object): ResourceContent => ({ id, spec, message: spec });

const ipBytes = (address: string): Buffer => Buffer.from(address.split(".").map(Number));

const prefix = 8;

/** Only a node with a configuration has these. */
const configured =
  (contents: (node: Machine) => ResourceContent[]) =>
  (node: Machine): ResourceContent[] =>
    node.config === undefined ? [] : contents(node);

const onControlPlane = (contents: (node: Machine) => ResourceContent[]): ResourceType["contents"] =>
  configured((node) => (node.config?.role === "controlplane" ? contents(node) : []));

/** The resources that a node has because it belongs to a cluster and a network. */
export const clusterTypes: ResourceType[] = [
  {
    type: "MachineConfigs.config.talos.dev",
    namespace: "config",
    codec: "MachineConfig",
    sensitive: true,
    contents: configured((node) => {
      const content = (id: string, text: string): ResourceContent => ({
        id,
        spec: text,
        message: { yamlMarshalled: Buffer.from(text) },
        // Tells clients that the resource's YAML holds the configuration as one string (siderolabs/talos v1.12 and newer).
        ...(node.minor() >= 12 ? { annotations: { "talos.dev/yaml-spec": "1" } } : {}),
      });
      return [
        content("v1alpha1", node.config?.text ?? ""),
        ...(node.disk.config === undefined ? [] : [content("persistent", node.disk.config)]),
      ];
    }),
  },
  {
    type: "OSRootSecrets.secrets.talos.dev",
    namespace: "secrets",
    codec: "OSRoot",
    sensitive: true,
    contents: configured(({ config }) => [rootSecrets("os", config?.machineCa, config?.acceptedCas)]),
  },
  {
    type: "KubernetesRootSecrets.secrets.talos.dev",
    namespace: "secrets",
    codec: "KubernetesRoot",
    sensitive: true,
    contents: onControlPlane(({ config }) => [
      rootSecrets("k8s", config?.clusterCa, config?.acceptedClusterCas),
    ]),
  },
  {
    type: "MachineTypes.config.talos.dev",
    namespace: "config",
    columns: [["Type", "{@}"]],
    contents: configured(({ config }) => [{ id: "machine-type", spec: config?.role ?? "unknown" }]),
  },
  {
    type: "Nodenames.kubernetes.talos.dev",
    namespace: "k8s",
    codec: "Nodename",
    columns: [["Nodename", "{.nodename}"]],
    contents: configured((node) => [
      same("nodename", { nodename: node.hostname, hostnameVersion: "1", skipNodeRegistration: false }),
    ]),
  },
  {
    type: "BootstrapManifestsConfigs.kubernetes.talos.dev",
    namespace: "controlplane",
    codec: "BootstrapManifestsConfig",
    contents: onControlPlane(({ config }) => [
      same("manifests", {
        server: config?.endpoint ?? "",
        clusterDomain: "cluster.local",
        cniName: config?.cniName ?? "",
      }),
    ]),
  },
  {
    // Rendered from the configuration whenever it changes; a cluster gets them once (siderolabs/talos v1.13 controllers/k8s/manifest.go).
    type: "Manifests.kubernetes.talos.dev",
    namespace: "controlplane",
    codec: "Manifest",
    contents: onControlPlane(({ config }) => (config === undefined ? [] : bootstrapManifests(config))),
  },
  {
    type: "Members.cluster.talos.dev",
    namespace: "cluster",
    codec: "Member",
    columns: [
      ["Hostname", "{.hostname}"],
      ["Machine Type", "{.machineType}"],
      ["OS", "{.operatingSystem}"],
      ["Addresses", "{.addresses}"],
    ],
    contents: configured((node) => node.network.cluster(node.clusterId ?? "").map(member)),
  },
  {
    type: "Identities.cluster.talos.dev",
    namespace: "cluster",
    codec: "Identity",
    columns: [["ID", "{.nodeId}"]],
    contents: ({ disk }) => [same("local", { nodeId: disk.nodeId })],
  },
  {
    type: "NodeAddresses.net.talos.dev",
    namespace: "network",
    codec: "NodeAddress",
    columns: [["Addresses", "{.addresses}"]],
    contents: ({ address }) =>
      ["default", "current", "routed", "accumulative"].map((id) => ({
        id,
        spec: { addresses: [`${address}/${prefix}`], sortAlgorithm: "v1" },
        message: { addresses: [{ ip: ipBytes(address), prefixLength: prefix }] },
      })),
  },
  {
    type: "HostnameStatuses.net.talos.dev",
    namespace: "network",
    codec: "HostnameStatus",
    aliases: ["hostname"],
    columns: [["Hostname", "{.hostname}"]],
    contents: ({ hostname }) => [same("hostname", { hostname, domainname: "" })],
  },
  {
    type: "EtcdMembers.etcd.talos.dev",
    namespace: "etcd",
    codec: "EtcdMember",
    columns: [["Member ID", "{.memberID}"]],
    contents: onControlPlane(({ disk }) => {
      if (disk.etcd === undefined) return [];
      const hex = BigInt(disk.etcd.memberId).toString(16).padStart(16, "0");
      return [{ id: "local", spec: { memberID: hex }, message: { memberId: hex } }];
    }),
  },
];

/** The issuing CA, and the CAs accepted in addition. */
function rootSecrets(
  id: string,
  { crt, key = "" }: { crt: string; key?: string | undefined } = { crt: "" },
  accepted: readonly string[] = [],
): ResourceContent {
  const bytes = (value: string): Buffer => Buffer.from(pemText(value));
  return {
    id,
    spec: { issuingCA: { crt, key }, acceptedCAs: accepted.map((each) => ({ crt: each })) },
    message: {
      issuingCa: { crt: bytes(crt), key: bytes(key) },
      acceptedCas: accepted.map((each) => ({ crt: bytes(each) })),
    },
  };
}

/** What the discovery service knows about a node. */
function member(node: Machine): ResourceContent {
  const { role } = node.identity();
  const common = {
    nodeId: createHash("sha256").update(node.disk.nodeId).digest("base64url"),
    hostname: node.hostname,
    operatingSystem: `Talos (${node.version})`,
  };
  return {
    id: node.hostname,
    spec: {
      ...common,
      addresses: [node.address],
      machineType: role,
      ...(role === "controlplane" ? { controlPlane: { port: 6443 } } : {}),
    },
    message: {
      ...common,
      addresses: [{ ip: ipBytes(node.address) }],
      machineType: role === "controlplane" ? 2 : 3,
      ...(role === "controlplane" ? { controlPlane: { apiServerPort: "6443" } } : {}),
    },
  };
}
