import { KubernetesError } from "../provider/kubernetes.ts";
import type { KubernetesVerdict } from "./verdict.ts";

/** A node as Kubernetes lists it. */
export interface ListedNode {
  name: string;
  address: string;
}

/** What the doctor asks of Kubernetes. Every method throws a KubernetesError. */
export interface KubernetesLook {
  nodes(): Promise<ListedNode[]>;
  verdict(): Promise<KubernetesVerdict>;
}

const requestMs = 15_000;

/** Reads the cluster of a kubeconfig. @throws KubernetesError for one that cannot be used */
export async function lookAtKubernetes(kubeconfig: string): Promise<KubernetesLook> {
  const library = await import("@kubernetes/client-node");
  const config = new library.KubeConfig();
  try {
    config.loadFromString(kubeconfig);
  } catch {
    // The parser's message would quote the file.
    throw new KubernetesError("the kubeconfig cannot be read", 400);
  }
  const core = config.makeApiClient(library.CoreV1Api);
  const storage = config.makeApiClient(library.StorageV1Api);
  const versions = config.makeApiClient(library.VersionApi);
  return {
    nodes: async () =>
      (await told(core.listNode())).items.flatMap(({ metadata, status }) => {
        const address = status?.addresses?.find(({ type }) => type === "InternalIP")?.address;
        return address === undefined ? [] : [{ name: metadata?.name ?? address, address }];
      }),
    verdict: async () => {
      const [{ gitVersion }, drivers, csiNodes, volumes, attachments] = await Promise.all([
        told(versions.getCode()),
        told(storage.listCSIDriver()),
        told(storage.listCSINode()),
        told(core.listPersistentVolume()),
        told(storage.listVolumeAttachment()),
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

/** One line without headers, which is where credentials would be. */
async function told<T>(request: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new KubernetesError(`no answer within ${requestMs / 1000} s`)),
      requestMs,
    );
  });
  try {
    return await Promise.race([request, late]);
  } catch (error) {
    if (error instanceof KubernetesError) throw error;
    const { code, message } = error as { code?: unknown; message?: unknown };
    if (typeof code === "number") throw new KubernetesError(`HTTP status ${code}`, code);
    throw new KubernetesError(String(message ?? error).split("\n")[0] ?? "");
  } finally {
    clearTimeout(timer);
  }
}
