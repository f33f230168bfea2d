import { parseAllDocuments } from "yaml";
import type { LabProject } from "../lab/project.ts";

type Fields = Record<string, unknown>;

/** The contents of a cluster, as read by the real tools, for comparison with another cluster. */
export interface ClusterState {
  /** The machine configuration documents of each node. */
  configurations: Record<string, unknown[]>;
  /** Objects by kind and name, without what always differs between clusters, such as UIDs and times. */
  objects: Record<string, Fields>;
  /** The version that each kubelet reports. */
  kubelets: Record<string, string>;
}

/** Kinds that Talos or a Kubernetes upgrade creates objects of. */
const kinds = [
  ...["daemonsets", "deployments", "configmaps", "services", "serviceaccounts", "pods"],
  ...["clusterroles", "clusterrolebindings", "roles", "rolebindings"],
];

export async function clusterState(
  project: LabProject,
  nodes: Readonly<Record<string, string>>,
): Promise<ClusterState> {
  const configurations: ClusterState["configurations"] = {};
  for (const [name, address] of Object.entries(nodes)) {
    const read = ["get", "machineconfig", "v1alpha1", "--output", "jsonpath={.spec}"];
    const text = await project.tool("talosctl", "--nodes", address, ...read);
    configurations[name] = parseAllDocuments(text).map((document) => document.toJS() as unknown);
  }
  const objects: ClusterState["objects"] = {};
  for (const kind of kinds) {
    const read = ["get", kind, "--namespace", "kube-system", "--show-managed-fields", "--output", "json"];
    for (const item of itemsOf(await project.tool("kubectl", ...read))) {
      const { name, ...rest } = comparable(item);
      if (!isOfKubernetes(item)) objects[`${kind}/${name}`] = rest;
    }
  }
  const read = await project.tool("kubectl", "get", "nodes", "--output", "json");
  const kubelets = itemsOf(read).map((item) => {
    const { nodeInfo } = item["status"] as { nodeInfo: { kubeletVersion: string } };
    return [(item["metadata"] as { name: string }).name, nodeInfo.kubeletVersion];
  });
  return { configurations, objects, kubelets: Object.fromEntries(kubelets) as Record<string, string> };
}

const itemsOf = (list: string): Fields[] => (JSON.parse(list) as { items: Fields[] }).items;

/** Whether kube-apiserver itself maintains the object in every cluster. */
function isOfKubernetes({ metadata }: Fields): boolean {
  const { labels } = metadata as { labels?: Record<string, string> };
  return labels?.["kubernetes.io/bootstrapping"] === "rbac-defaults";
}

interface ManagedFields {
  manager: string;
  operation: string;
  subresource?: string;
  fieldsV1: Fields;
}

interface Metadata {
  name: string;
  generateName?: string;
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
  managedFields?: ManagedFields[];
}

function comparable(object: Fields): Fields & { name: string } {
  const { name, labels = {}, annotations = {}, managedFields = [] } = object["metadata"] as Metadata;
  const { status: _status, metadata: _metadata, ...content } = object;
  if (content["kind"] === "Pod") return comparablePod(object);
  const managers = managedFields
    .filter(({ subresource }) => subresource !== "status")
    .map(({ manager, operation, fieldsV1 }) => ({ manager, operation, fieldsV1 }));
  return { ...content, name, labels, annotations, managers };
}

/** Omits random names, and volumes with such names, to compare only what runs where. */
function comparablePod({ metadata, spec }: Fields): Fields & { name: string } {
  const { name, generateName, labels = {}, annotations = {} } = metadata as Metadata;
  const { nodeName, containers } = spec as { nodeName: string; containers: Fields[] };
  return {
    name: generateName === undefined ? name : `${generateName}${nodeName}`,
    labels,
    annotations,
    containers: containers.map(({ name: container, image, command }) => ({ container, image, command })),
  };
}
