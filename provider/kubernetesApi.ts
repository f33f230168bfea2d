import type {
  ConfigurationOptions,
  CoordinationV1Api,
  CoreV1Api,
  KubernetesObjectApi,
  ObservableMiddleware,
  PolicyV1Api,
  StorageV1Api,
  V1Lease,
  V1MicroTime,
  V1Pod,
  V1PodList,
  VersionApi,
  Watch,
} from "@kubernetes/client-node";
import { admissionRefusal } from "./admission.ts";
import {
  KubernetesError,
  type DeprecatedApi,
  type Eviction,
  type KubernetesClient,
  type KubernetesNode,
  type KubernetesPod,
  type Manifest,
  type ObjectSelection,
  type NodeRemover,
  type LockLease,
} from "./kubernetes.ts";
import { openKubernetes, withKubernetesErrors } from "./kubernetesConnection.ts";
import { deprecatedApisIn } from "./kubernetesMetrics.ts";
import { toKubernetesNode, toKubernetesPod } from "./kubernetesObjects.ts";
import { PlainObjects, type RawRequest } from "./plainObjects.ts";
import { ApiStorageReader } from "./storage/api.ts";
import type { StorageReader } from "./storage/reader.ts";
import type { WatchSource } from "./watchedObjects.ts";

const requestMs = 10_000;
/** The Lease used as the cluster lock. */
const lockLeaseName = { namespace: "kube-system", name: "talos-iscsi-turn" };

/** Connects to a kubeconfig's cluster. The client library is slow to load, so it is loaded on demand. */
export function connectKubernetes(kubeconfig: string): Promise<KubernetesClient> {
  return connect(kubeconfig);
}

/** The same, for deleting Node objects. Only for `provider/gate`. */
export function connectNodeRemover(kubeconfig: string): Promise<NodeRemover> {
  return connect(kubeconfig);
}

async function connect(kubeconfig: string): Promise<ApiClient> {
  const { library, config, once, raw } = await openKubernetes(kubeconfig, requestMs);
  return new ApiClient(
    new library.Watch(config),
    config.makeApiClient(library.CoreV1Api),
    config.makeApiClient(library.PolicyV1Api),
    config.makeApiClient(library.StorageV1Api),
    config.makeApiClient(library.VersionApi),
    { api: config.makeApiClient(library.CoordinationV1Api), now: () => new library.V1MicroTime() },
    once,
    library.setHeaderOptions("Content-Type", library.PatchStrategy.MergePatch, once),
    library.KubernetesObjectApi.makeApiClient(config),
    (method, path, body) => withKubernetesErrors(raw(method, path, body)),
  );
}

class ApiClient implements KubernetesClient, NodeRemover {
  readonly #watch: Watch;
  readonly #core: CoreV1Api;
  readonly #version: VersionApi;
  readonly #leases: { api: CoordinationV1Api; now: () => V1MicroTime };
  readonly #once: ConfigurationOptions<ObservableMiddleware>;
  readonly #patch: ConfigurationOptions<ObservableMiddleware>;
  readonly #any: KubernetesObjectApi;
  readonly #raw: RawRequest;
  readonly #plain: PlainObjects;
  readonly storage: StorageReader;

  constructor(
    watch: Watch,
    core: CoreV1Api,
    policy: PolicyV1Api,
    storage: StorageV1Api,
    version: VersionApi,
    leases: { api: CoordinationV1Api; now: () => V1MicroTime },
    once: ConfigurationOptions<ObservableMiddleware>,
    patch: ConfigurationOptions<ObservableMiddleware>,
    any: KubernetesObjectApi,
    raw: RawRequest,
  ) {
    this.#watch = watch;
    this.#core = core;
    this.#version = version;
    this.#leases = leases;
    this.#once = once;
    this.#patch = patch;
    this.#any = any;
    this.#raw = raw;
    this.#plain = new PlainObjects(raw);
    const follow = this.#follow.bind(this);
    this.storage = new ApiStorageReader({
      core,
      policy,
      storage,
      once,
      withErrors: withKubernetesErrors,
      follow,
    });
  }

  async version(): Promise<string> {
    return (await withKubernetesErrors(this.#version.getCode({}, this.#once))).gitVersion;
  }

  async nodes(): Promise<KubernetesNode[]> {
    return (await withKubernetesErrors(this.#core.listNode({}, this.#once))).items.map(toKubernetesNode);
  }

  async node(name: string): Promise<KubernetesNode | undefined> {
    try {
      return toKubernetesNode(await withKubernetesErrors(this.#core.readNode({ name }, this.#once)));
    } catch (error) {
      if (error instanceof KubernetesError && error.status === 404) return undefined;
      throw error;
    }
  }

  async patchNode(
    name: string,
    change: { unschedulable?: boolean; annotations: Record<string, string | null> },
  ): Promise<void> {
    const body = {
      metadata: { annotations: change.annotations },
      // Absent means schedulable; null removes the field.
      ...(change.unschedulable === undefined
        ? {}
        : { spec: { unschedulable: change.unschedulable || null } }),
    };
    await withKubernetesErrors(this.#core.patchNode({ name, body }, this.#patch));
  }

  async deleteNode(name: string): Promise<void> {
    try {
      await withKubernetesErrors(this.#core.deleteNode({ name }, this.#once));
    } catch (error) {
      if (!(error instanceof KubernetesError) || error.status !== 404) throw error;
    }
  }

  async readLease(): Promise<LockLease | undefined> {
    try {
      const lease = await withKubernetesErrors(
        this.#leases.api.readNamespacedLease(lockLeaseName, this.#once),
      );
      return { holder: lease.spec?.holderIdentity, version: lease.metadata?.resourceVersion ?? "" };
    } catch (error) {
      if (error instanceof KubernetesError && error.status === 404) return undefined;
      throw error;
    }
  }

  async writeLease(holder: string | undefined, version: string | undefined): Promise<string | undefined> {
    const { api, now } = this.#leases;
    const { namespace, name } = lockLeaseName;
    const body: V1Lease = {
      metadata: { name, namespace, ...(version === undefined ? {} : { resourceVersion: version }) },
      spec: {
        leaseDurationSeconds: 60,
        renewTime: now(),
        ...(holder === undefined ? {} : { holderIdentity: holder }),
      },
    };
    try {
      const lease = await withKubernetesErrors(
        version === undefined
          ? api.createNamespacedLease({ namespace, body }, this.#once)
          : api.replaceNamespacedLease({ namespace, name, body }, this.#once),
      );
      return lease.metadata?.resourceVersion ?? "";
    } catch (error) {
      // 409: it was created or changed in the meantime. 404: deleted.
      if (error instanceof KubernetesError && (error.status === 409 || error.status === 404))
        return undefined;
      throw error;
    }
  }

  podsOn(node: string): WatchSource<KubernetesPod> {
    return this.#pods("/api/v1/pods", { fieldSelector: `spec.nodeName=${node}` }, (query) =>
      this.#core.listPodForAllNamespaces(query, this.#once),
    );
  }

  podsIn(namespace: string): WatchSource<KubernetesPod> {
    return this.#pods(`/api/v1/namespaces/${namespace}/pods`, {}, () =>
      this.#core.listNamespacedPod({ namespace }, this.#once),
    );
  }

  #pods(
    path: string,
    query: { fieldSelector?: string },
    ask: (query: { fieldSelector?: string }) => Promise<V1PodList>,
  ): WatchSource<KubernetesPod> {
    return {
      list: async () => {
        const list = await withKubernetesErrors(ask(query));
        return { objects: list.items.map(toKubernetesPod), version: list.metadata?.resourceVersion ?? "" };
      },
      watch: (resourceVersion, onEvent, signal) =>
        this.#follow<V1Pod>(
          path,
          { ...query, resourceVersion },
          (type, pod) => onEvent({ type, object: toKubernetesPod(pod) }),
          signal,
        ),
    };
  }

  async #follow<T>(
    path: string,
    query: Record<string, string>,
    onEvent: (type: "there" | "gone", object: T) => void,
    signal: AbortSignal,
  ): Promise<void> {
    const ended = Promise.withResolvers<void>();
    const take = (phase: string, object: T): void => {
      // ERROR: the resource version has expired. The stream ends after it.
      if (phase === "ERROR" || phase === "BOOKMARK") return;
      onEvent(phase === "DELETED" ? "gone" : "there", object);
    };
    try {
      const request = await this.#watch.watch(path, query, take, () => ended.resolve());
      const stop = (): void => {
        request.abort();
        ended.resolve();
      };
      if (signal.aborted) stop();
      signal.addEventListener("abort", stop, { once: true });
    } catch {
      ended.resolve();
    }
    await ended.promise;
  }

  async objects(selection: ObjectSelection): Promise<object[]> {
    const { apiVersion, kind, namespace, name, labelSelector } = selection;
    const field = name === undefined ? undefined : `metadata.name=${name}`;
    // The client discovers the cluster's kinds first; neither of its calls has a timeout.
    const list = this.#any.list(
      apiVersion,
      kind,
      namespace,
      ...([undefined, undefined, undefined] as const),
      field,
      labelSelector,
    );
    try {
      return (await withTimeout(list)).items;
    } catch (error) {
      if (!(error instanceof KubernetesError) || !isUnknownKind(error)) throw error;
      throw new KubernetesError(`the cluster has no kind ${kind} in ${apiVersion}`, 404);
    }
  }

  async deprecatedApis(): Promise<DeprecatedApi[]> {
    return deprecatedApisIn(await this.#raw("GET", "/metrics"));
  }

  async liveManifest(manifest: Manifest): Promise<Manifest | undefined> {
    return this.#plain.read(manifest);
  }

  async tryManifest(manifest: Manifest): Promise<Manifest> {
    return this.#plain.apply(manifest, true);
  }

  async applyManifest(manifest: Manifest): Promise<void> {
    await this.#plain.apply(manifest, false);
  }

  async deletePod({ namespace, name, uid }: KubernetesPod): Promise<void> {
    try {
      await withKubernetesErrors(
        this.#core.deleteNamespacedPod({ namespace, name, body: { preconditions: { uid } } }, this.#once),
      );
    } catch (error) {
      // Gone, or replaced by another pod of that name.
      if (!(error instanceof KubernetesError) || (error.status !== 404 && error.status !== 409)) throw error;
    }
  }

  async evict(pod: KubernetesPod): Promise<Eviction> {
    const { namespace, name, uid } = pod;
    // With the uid, a new pod of the same name (a StatefulSet's) is safe from an eviction meant for its predecessor.
    const body = { metadata: { name, namespace }, deleteOptions: { preconditions: { uid } } };
    try {
      await withKubernetesErrors(
        this.#core.createNamespacedPodEviction({ namespace, name, body }, this.#once),
      );
      return { outcome: "accepted" };
    } catch (error) {
      if (!(error instanceof KubernetesError)) throw error;
      if (admissionRefusal(error.message) !== undefined) return { outcome: "blocked", reason: error.message };
      // 409: the uid has changed.
      if (error.status === 404 || error.status === 409) return { outcome: "gone" };
      if (error.status === 403 && error.message.includes('cannot create resource "pods/eviction"'))
        throw error;
      // 429: a budget blocks it for now. 403: the namespace is being deleted, which removes the pod anyway.
      // 500: several budgets select it, which the server never resolves (kubernetes pkg/registry/core/pod/storage/eviction.go). The other pods can leave.
      const isUnderTwo = error.status === 500 && error.message.includes("more than one PodDisruptionBudget");
      if (error.status === 429 || error.status === 403 || isUnderTwo)
        return { outcome: "blocked", reason: error.message };
      throw error;
    }
  }
}

/** For library calls without a timeout of their own. */
async function withTimeout<T>(request: Promise<T>): Promise<T> {
  const limit = Promise.withResolvers<never>();
  const timer = setTimeout(() => limit.reject(new Error("no answer in time")), requestMs);
  try {
    return await withKubernetesErrors(Promise.race([request, limit.promise]));
  } finally {
    clearTimeout(timer);
  }
}

/** The group or version doesn't exist (404), or has no such kind (the client's wording). */
function isUnknownKind({ status, message }: KubernetesError): boolean {
  return status === 404 || message.startsWith("Unrecognized API version and kind");
}
