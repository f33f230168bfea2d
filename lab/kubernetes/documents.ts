import { isRecord } from "../../talos/values.ts";

/** A parsed document of a machine configuration. */
export type ConfigDocument = Record<string, unknown>;

type Fields = Record<string, unknown>;

/**
 * The `machine` and `cluster` sections as in contracts up to 1.13. From contract 1.14 on, most Kubernetes settings
 * are in separate documents (siderolabs/talos v1.14 config/types/k8s). This moves them back to their old places, so
 * that the rest of the lab handles a single form.
 */
export function sections(documents: readonly ConfigDocument[]): { machine: Fields; cluster: Fields } {
  const main =
    documents.find((document) => document.kind === undefined && document.version !== undefined) ?? {};
  const machine = copyFields(main.machine);
  const cluster = copyFields(main.cluster);
  for (const document of documents) {
    const place = typeof document.kind === "string" ? documentPlaces[document.kind] : undefined;
    place?.(document, machine, cluster);
  }
  return { machine, cluster };
}

const documentPlaces: Record<string, (document: ConfigDocument, machine: Fields, cluster: Fields) => void> = {
  KubeClusterConfig: ({ clusterName, endpoint }, _machine, cluster) => {
    cluster.clusterName = clusterName;
    cluster.controlPlane = { ...copyFields(cluster.controlPlane), endpoint };
  },
  KubeNetworkConfig: ({ dnsDomain, podSubnets, serviceSubnets }, _machine, cluster) => {
    cluster.network = { ...copyFields(cluster.network), dnsDomain, podSubnets, serviceSubnets };
  },
  KubeAPIServerCAConfig: (document, _machine, cluster) => {
    cluster.ca = keyPair(document);
    cluster.acceptedCAs = list(document.acceptedCAs).map((crt) => ({ crt }));
  },
  KubeAggregatorCAConfig: (document, _machine, cluster) => {
    cluster.aggregatorCA = keyPair(document);
  },
  KubeServiceAccountConfig: ({ issuer }, _machine, cluster) => {
    cluster.serviceAccount = { key: copyFields(issuer).privateKey };
  },
  KubeEtcdEncryptionConfig: ({ config }, _machine, cluster) => {
    cluster.encryption = config;
  },
  KubeAPIServerConfig: ({ extraArgs, certExtraSANs }, _machine, cluster) => {
    cluster.apiServer = { ...copyFields(cluster.apiServer), extraArgs, certSANs: certExtraSANs };
  },
  KubeAdmissionControlConfig: ({ name, configuration }, _machine, cluster) => {
    const apiServer = copyFields(cluster.apiServer);
    cluster.apiServer = {
      ...apiServer,
      admissionControl: [...list(apiServer.admissionControl), { name, configuration }],
    };
  },
  KubeAuditPolicyConfig: ({ configuration }, _machine, cluster) => {
    cluster.apiServer = { ...copyFields(cluster.apiServer), auditPolicy: configuration };
  },
  KubeControllerManagerConfig: ({ extraArgs }, _machine, cluster) => {
    cluster.controllerManager = { extraArgs };
  },
  KubeSchedulerConfig: ({ extraArgs }, _machine, cluster) => {
    cluster.scheduler = { extraArgs };
  },
  KubeletConfig: ({ image }, machine) => {
    machine.kubelet = { image };
  },
  KubeNodeConfig: ({ labels, annotations, taints }, machine, cluster) => {
    machine.nodeLabels = labels;
    machine.nodeAnnotations = annotations;
    machine.nodeTaints = taints;
    // If it is wanted, the control plane taint is already listed.
    cluster.allowSchedulingOnControlPlanes = true;
  },
};

function keyPair({ issuingCA }: ConfigDocument): Fields {
  const { cert, key } = copyFields(issuingCA);
  return { crt: cert, key };
}

/** A copy of an object; an empty object for anything else. */
function copyFields(value: unknown): Fields {
  return isRecord(value) ? { ...value } : {};
}

function list(value: unknown): unknown[] {
  return Array.isArray(value) ? (value as unknown[]) : [];
}
