import { openKubernetes, withKubernetesErrors } from "../provider/kubernetesConnection.ts";
import type { KubernetesVerdict } from "./verdict.ts";

/** A node as Kubernetes lists it. */
export interface ListedNode {
  name: string;
  address: string;
}

/** What the doctor asks of Kubernetes. Every method throws a KubernetesError. */
export interface KubernetesReader {
  /** The kubeconfig's client certificate, base64 of PEM text; absent where it signs in by other means, such as a token. */
  clientCertificate?: string;
  nodes(): Promise<ListedNode[]>;
  verdict(): Promise<KubernetesVerdict>;
}

const requestMs = 15_000;

/** Reads the cluster of a kubeconfig. @throws KubernetesError for one that cannot be used */
export async function connectKubernetesReader(kubeconfig: string): Promise<KubernetesReader> {
  const { library, config, once } = await openKubernetes(kubeconfig, requestMs);
  const core = config.makeApiClient(library.CoreV1Api);
  const storage = config.makeApiClient(library.StorageV1Api);
  const versions = config.makeApiClient(library.VersionApi);
  const clientCertificate = config.getCurrentUser()?.certData;
  return {
    ...(clientCertificate === undefined ? {} : { clientCertificate }),
    nodes: async () =>
      (await withKubernetesErrors(core.listNode({}, once))).items.flatMap(({ metadata, status }) => {
        const address = status?.addresses?.find(({ type }) => type === "InternalIP")?.address;
        return address === undefined ? [] : [{ name: metadata?.name ?? address, address }];
      }),
    verdict: async () => {
      const [{ gitVersion }, drivers, csiNodes, volumes, attachments] = await Promise.all([
        withKubernetesErrors(versions.getCode({}, once)),
        withKubernetesErrors(storage.listCSIDriver({}, once)),
        withKubernetesErrors(storage.listCSINode({}, once)),
        withKubernetesErrors(core.listPersistentVolume({}, once)),
        withKubernetesErrors(storage.listVolumeAttachment({}, once)),
      ]);
      const byDriver: Record<string, number> = {};
      for (const { spec } of volumes.items) {
        if (spec?.csi === undefined || spec.claimRef === undefined) continue;
        byDriver[spec.csi.driver] = (byDriver[spec.csi.driver] ?? 0) + 1;
      }
      return {
        version: gitVersion,
        drivers: drivers.items.map(({ metadata }) => ({
          name: metadata?.name ?? "",
          nodes: csiNodes.items.filter(({ spec }) => spec.drivers.some(({ name }) => name === metadata?.name))
            .length,
        })),
        volumes: byDriver,
        attachments: attachments.items.length,
      };
    },
  };
}
