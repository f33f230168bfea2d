import { KubernetesError, type Manifest } from "./kubernetes.ts";

/** A request to the API server with the usual deadline and credentials. The answer is JSON. */
export type RawRequest = (
  method: "GET" | "PATCH",
  path: string,
  body?: { type: string; text: string },
) => Promise<string>;

/** A kind as the API server serves it. */
interface ServedKind {
  readonly path: string;
  readonly namespaced: boolean;
}

/**
 * Objects exactly as written. The client library sends only what its models know, under its own names: a NetworkPolicy loses its `from`, a
 * CustomResourceDefinition its `enum` and `default` (@kubernetes/client-node 2.0.1, ObjectSerializer.serialize).
 */
export class PlainObjects {
  readonly #request: RawRequest;
  readonly #kinds = new Map<string, ServedKind>();

  constructor(request: RawRequest) {
    this.#request = request;
  }

  /** Undefined if the object or its kind doesn't exist. */
  async read(manifest: Manifest): Promise<Manifest | undefined> {
    try {
      const { path } = await this.#placed(manifest);
      return parseAnswer(await this.#request("GET", path)) as Manifest;
    } catch (error) {
      if (error instanceof KubernetesError && error.status === 404) return undefined;
      throw error;
    }
  }

  /** Server-side apply with the field manager of Talos and talosctl, so that they keep owning the same fields. */
  async apply(manifest: Manifest, dryRun: boolean): Promise<Manifest> {
    const { path, object } = await this.#placed(manifest);
    const query = `fieldManager=talos&force=true${dryRun ? "&dryRun=All" : ""}`;
    const body = { type: "application/apply-patch+yaml", text: JSON.stringify(object) };
    return parseAnswer(await this.#request("PATCH", `${path}?${query}`, body)) as Manifest;
  }

  /** The object's path, and the object with its effective namespace: like Talos, drops the namespace of a cluster-scoped kind. */
  async #placed(manifest: Manifest): Promise<{ path: string; object: Manifest }> {
    const kind = await this.#kind(manifest);
    const { namespace = "default", ...metadata } = manifest.metadata;
    const object = { ...manifest, metadata: kind.namespaced ? { ...metadata, namespace } : metadata };
    const within = kind.namespaced ? `/namespaces/${encodeURIComponent(namespace)}` : "";
    return {
      path: `${apiPath(manifest)}${within}/${kind.path}/${encodeURIComponent(metadata.name)}`,
      object,
    };
  }

  async #kind({ apiVersion, kind }: Manifest): Promise<ServedKind> {
    const key = `${apiVersion}/${kind}`;
    const known = this.#kinds.get(key);
    if (known !== undefined) return known;
    const { resources = [] } = parseAnswer(await this.#request("GET", apiPath({ apiVersion }))) as {
      resources?: { name: string; kind: string; namespaced: boolean }[];
    };
    // Subresources, such as `deployments/scale`, have kinds too.
    const served = resources.find((one) => one.kind === kind && !one.name.includes("/"));
    if (served === undefined)
      throw new KubernetesError(`the cluster has no kind ${kind} in ${apiVersion}`, 404);
    const found = { path: served.name, namespaced: served.namespaced };
    this.#kinds.set(key, found);
    return found;
  }
}

function apiPath({ apiVersion }: Pick<Manifest, "apiVersion">): string {
  return apiVersion.includes("/") ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
}

function parseAnswer(answer: string): unknown {
  try {
    return JSON.parse(answer);
  } catch {
    throw new KubernetesError("the answer is not that of an API server");
  }
}
