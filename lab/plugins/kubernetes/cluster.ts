import { setTimeout as sleep } from "node:timers/promises";
import type { ResourceLog } from "../plugin.ts";
import { type Kubectl, KubectlError } from "./kubectl.ts";
import { isNamespaced, kindArgument, type KubernetesObject } from "./object.ts";
import { needsWaiting, readiness } from "./readiness.ts";

/** An object's kind and name. */
export interface ObjectReference {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
  readonly namespace?: string;
}

/** How an object is written. */
export interface ApplyOptions {
  readonly fieldManager: string;
  readonly force: boolean;
  readonly dryRun: boolean;
  readonly signal: AbortSignal;
  readonly log: ResourceLog;
}

/** The object exists, but is not what it is meant to be, and will not become so in time. */
export class NotReadyError extends Error {
  override readonly name = "NotReadyError";
  readonly reasons: readonly string[];
  readonly live: KubernetesObject;

  constructor(live: KubernetesObject, reasons: readonly string[]) {
    super(reasons.join("; "));
    this.live = live;
    this.reasons = reasons;
  }
}

/** What this plugin asks of a cluster, each by one kubectl command. */
export class Cluster {
  readonly #kubectl: Kubectl;
  readonly #scopes = new Map<string, boolean>();

  constructor(kubectl: Kubectl) {
    this.#kubectl = kubectl;
  }

  /** Has this kind a namespace? `undefined` where neither we nor the cluster know the kind (yet). */
  async namespaced(apiVersion: string, kind: string, signal: AbortSignal): Promise<boolean | undefined> {
    const known = isNamespaced(apiVersion, kind) ?? this.#scopes.get(`${apiVersion}/${kind}`);
    if (known !== undefined) return known;
    const group = apiVersion.includes("/") ? (apiVersion.split("/")[0] ?? "") : "";
    try {
      const { stdout } = await this.#kubectl.run(["api-resources", `--api-group=${group}`, "--no-headers"], {
        signal,
      });
      for (const line of stdout.split("\n")) {
        // The short names may be missing, so the columns count from the right: version, scope, kind.
        const [found, scope, version] = line.trim().split(/\s+/).reverse();
        if (version !== undefined) this.#scopes.set(`${version}/${found}`, scope === "true");
      }
    } catch (error) {
      if (!(error instanceof KubectlError)) throw error;
    }
    return this.#scopes.get(`${apiVersion}/${kind}`);
  }

  /** Server-side apply with strict field validation: an unknown or repeated field is an error. */
  async apply(object: KubernetesObject, options: ApplyOptions): Promise<KubernetesObject> {
    const { stdout, warnings } = await this.#kubectl.run(
      [
        "apply",
        "--server-side",
        "--filename=-",
        "--output=json",
        "--validate=strict",
        `--field-manager=${options.fieldManager}`,
        ...(options.force ? ["--force-conflicts"] : []),
        ...(options.dryRun ? ["--dry-run=server"] : []),
      ],
      { input: JSON.stringify(object), signal: options.signal },
    );
    if (!options.dryRun) for (const warning of warnings) options.log.warning(warning);
    return JSON.parse(stdout) as KubernetesObject;
  }

  /** The live object, or undefined where there is none. */
  async get(object: ObjectReference, signal: AbortSignal): Promise<KubernetesObject | undefined> {
    try {
      const { stdout } = await this.#kubectl.run(["get", ...reference(object), "--output=json"], { signal });
      return JSON.parse(stdout) as KubernetesObject;
    } catch (error) {
      if (error instanceof KubectlError && error.missing) return undefined;
      throw error;
    }
  }

  /** Deletes the object and waits until it is gone. */
  async delete(
    object: ObjectReference,
    options: { cascade: string; timeoutSeconds: number; signal: AbortSignal },
  ): Promise<void> {
    try {
      await this.#kubectl.run(
        [
          "delete",
          ...reference(object),
          "--ignore-not-found",
          `--cascade=${options.cascade}`,
          "--wait=true",
          `--timeout=${options.timeoutSeconds}s`,
        ],
        { signal: options.signal },
      );
    } catch (error) {
      if (error instanceof KubectlError && error.missing) return;
      throw error;
    }
  }

  /** Waits until the object is ready; says meanwhile what is missing. */
  async ready(
    live: KubernetesObject,
    options: { timeoutSeconds: number; signal: AbortSignal; log: ResourceLog },
  ): Promise<KubernetesObject> {
    if (!needsWaiting(live) || readiness(live).ready) return live;
    const object = { apiVersion: live.apiVersion, kind: live.kind, ...live.metadata };
    const deadline = Date.now() + options.timeoutSeconds * 1000;
    let latest = live;
    for (;;) {
      const left = deadline - Date.now();
      const signal = AbortSignal.any([options.signal, AbortSignal.timeout(Math.max(1, left))]);
      try {
        await this.#kubectl.watch(["get", ...onlyItself(object)], signal, (json) => {
          latest = JSON.parse(json) as KubernetesObject;
          const { ready, failed, message } = readiness(latest);
          if (!ready) options.log.progress(message);
          return ready || failed === true;
        });
      } catch (error) {
        if (options.signal.aborted) throw new NotReadyError(latest, ["cancelled", readiness(latest).message]);
        // A watch ends when the API server is replaced; the object is asked for again as long as there is time.
        if (!signal.aborted) {
          if (error instanceof KubectlError && error.missing) throw error;
          await sleep(500);
          continue;
        }
      }
      const { ready, message } = readiness(latest);
      if (ready) return latest;
      const when = Date.now() >= deadline ? `not ready after ${options.timeoutSeconds} s: ` : "";
      throw new NotReadyError(latest, [`${when}${message}`, ...(await this.#complaints(object))]);
    }
  }

  /** What the events of an object say went wrong, each once. */
  async #complaints(object: ObjectReference): Promise<string[]> {
    const { stdout } = await this.#kubectl
      .run([
        "get",
        "events",
        ...(object.namespace === undefined ? [] : [`--namespace=${object.namespace}`]),
        `--field-selector=type=Warning,involvedObject.kind=${object.kind},involvedObject.name=${object.name}`,
        "--output=json",
      ])
      .catch(() => ({ stdout: '{"items":[]}' }));
    const { items } = JSON.parse(stdout) as { items: { reason?: string; message?: string }[] };
    return [
      ...new Map(items.map(({ reason, message }) => [reason, `${reason ?? ""}: ${message ?? ""}`])).values(),
    ];
  }
}

/**
 * One object as a list of one. To watch: kubectl drops the first event of an object that is named, and with it a change that came
 * between its look and its watch (kubectl get.go, 1.35); of a list it shows every one.
 */
function onlyItself(object: ObjectReference): string[] {
  const [kind = "", , ...namespace] = reference(object);
  return [kind, `--field-selector=metadata.name=${object.name}`, ...namespace];
}

function reference(object: ObjectReference): string[] {
  const namespace = object.namespace === undefined ? [] : [`--namespace=${object.namespace}`];
  return [kindArgument(object), object.name, ...namespace];
}
