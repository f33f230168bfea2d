import type { KubernetesClient } from "./kubernetes.ts";
import { override } from "./override.ts";
import type { Surroundings } from "./session.ts";

/**
 * One client per kubeconfig, for checks of many nodes at once: lists that they request at the same moment are one request, since each node's check lists all
 * nodes and all volumes of the cluster. No answer is kept. Actions on a node use clients of their own.
 */
export function shareLists<T extends Pick<Surroundings, "connectKubernetes">>(surroundings: T): T {
  const clients = new Map<string, Promise<KubernetesClient>>();
  const connectKubernetes = (kubeconfig: string): Promise<KubernetesClient> => {
    const known = clients.get(kubeconfig);
    if (known !== undefined) return known;
    const client = surroundings.connectKubernetes(kubeconfig).then(withSharedLists);
    clients.set(kubeconfig, client);
    // The next check tries again.
    client.catch(() => clients.delete(kubeconfig));
    return client;
  };
  return { ...surroundings, connectKubernetes };
}

function withSharedLists(client: KubernetesClient): KubernetesClient {
  const { storage } = client;
  const { attachments } = storage;
  return override(client, {
    version: shared(() => client.version()),
    nodes: shared(() => client.nodes()),
    storage: override(storage, {
      volumes: shared(() => storage.volumes()),
      budgets: shared(() => storage.budgets()),
      pendingPods: shared(() => storage.pendingPods()),
      attachments: override(attachments, { list: shared(() => attachments.list()) }),
    }),
  });
}

/** Calls during a request get its answer. */
function shared<T>(request: () => Promise<T>): () => Promise<T> {
  let pending: Promise<T> | undefined;
  return () => {
    pending ??= request().finally(() => (pending = undefined));
    return pending;
  };
}
