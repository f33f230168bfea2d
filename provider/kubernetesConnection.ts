import type { ConfigurationOptions, ObservableMiddleware } from "@kubernetes/client-node";
import { KubernetesError } from "./kubernetes.ts";

/**
 * The client library for a kubeconfig's cluster, with options that give each request a deadline. The library is slow to load, so it is loaded on demand.
 * @throws KubernetesError for an unusable kubeconfig
 */
export async function openKubernetes(kubeconfig: string, requestMs: number) {
  const library = await import("@kubernetes/client-node");
  const config = new library.KubeConfig();
  try {
    config.loadFromString(kubeconfig);
  } catch {
    // The parser's message would quote the file.
    throw new KubernetesError("the kubeconfig cannot be read", 400);
  }
  if (config.getCurrentCluster() === null) {
    throw new KubernetesError("the kubeconfig has no current context with a cluster", 400);
  }
  const limit: ObservableMiddleware = {
    pre: (request) => {
      request.setSignal(AbortSignal.timeout(requestMs));
      return new library.Observable(Promise.resolve(request));
    },
    post: (response) => new library.Observable(Promise.resolve(response)),
  };
  const once: ConfigurationOptions<ObservableMiddleware> = {
    middleware: [limit],
    middlewareMergeStrategy: "append",
  };
  /** For endpoints the library has no call for, such as the server's metrics. Returns the response text. */
  const raw = async (
    method: "GET" | "PATCH",
    path: string,
    body?: { type: string; text: string },
  ): Promise<string> => {
    const request = new library.RequestContext(
      `${config.getCurrentCluster()?.server ?? ""}${path}`,
      library.HttpMethod[method],
    );
    request.setSignal(AbortSignal.timeout(requestMs));
    if (body !== undefined) {
      request.setHeaderParam("Content-Type", body.type);
      request.setBody(body.text);
    }
    await config.applySecurityAuthentication(request);
    const response = await library.createConfiguration().httpApi.send(request).toPromise();
    const { httpStatusCode: status } = response;
    const text = await response.body.text();
    if (status >= 200 && status < 300) return text;
    throw new KubernetesError(statusText(text) ?? `HTTP ${status}`, status);
  };
  return { library, config, once, raw };
}

/** Waits for an answer; errors become one line without headers, which would hold credentials. */
export async function withKubernetesErrors<T>(request: Promise<T>): Promise<T> {
  try {
    return await request;
  } catch (error) {
    throw toKubernetesError(error);
  }
}

function toKubernetesError(error: unknown): KubernetesError {
  if (error instanceof KubernetesError) return error;
  if (typeof error === "object" && error !== null && "code" in error && typeof error.code === "number") {
    return new KubernetesError(
      statusText("body" in error ? error.body : undefined) ?? `HTTP ${error.code}`,
      error.code,
    );
  }
  // fetch says only "fetch failed"; the reason is in its cause.
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  return new KubernetesError(cause instanceof Error ? cause.message || cause.name : String(cause));
}

interface Status {
  message?: string;
  details?: { causes?: { message?: string }[] };
}

function statusText(body: unknown): string | undefined {
  const status = parseStatus(body);
  if (status === undefined) return undefined;
  const causes = (status.details?.causes ?? []).flatMap(({ message }) => message ?? []);
  return causes.length > 0 ? causes.join(", ") : status.message;
}

function parseStatus(body: unknown): Status | undefined {
  if (typeof body === "object" && body !== null) return body;
  if (typeof body !== "string") return undefined;
  try {
    return JSON.parse(body) as Status;
  } catch {
    return undefined;
  }
}
