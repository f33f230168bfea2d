import { isScalar, parseAllDocuments } from "yaml";
import type { CosiResource } from "./cosi.ts";
import type { StaticPod } from "./talosClient.ts";

/** The text of a machine configuration out of the YAML of its resource: from Talos 1.12 on a text in YAML, before that the documents themselves. */
export function configurationText(spec: string): string {
  const documents = parseAllDocuments(spec, { schema: "failsafe", prettyErrors: false });
  const [only, ...more] = Array.isArray(documents) ? documents : [];
  const value: unknown = more.length === 0 && isScalar(only?.contents) ? only.contents.value : undefined;
  return typeof value === "string" ? value : spec;
}

/** kube-apiserver among the static pods: what its manifest and its status say. */
export function apiServerPod(
  pods: readonly CosiResource[],
  statuses: readonly CosiResource[],
): StaticPod | undefined {
  const status = statuses.find(({ id }) => id.includes("kube-apiserver"))?.spec["podStatus"] as
    PodStatus | undefined;
  if (status === undefined) return undefined;
  const ready =
    status.conditions?.some((condition) => condition.type === "Ready" && condition.status === "True") ??
    false;
  // The pod's own startTime is the mirror pod's, which stays the same when the kubelet restarts the containers (seen on v1.13).
  const started = (status.containerStatuses ?? []).map(({ state }) =>
    Date.parse(String(state?.running?.startedAt ?? "")),
  );
  const written = pods.find(({ id }) => id.includes("kube-apiserver"))?.updatedMs;
  // Times of pods are whole seconds. A container whose start is not told says nothing: `ready` has to do for it.
  return { ready, outdated: written !== undefined && started.some((at) => at + 1_000 < written) };
}

interface PodStatus {
  conditions?: { type?: string; status?: string }[];
  containerStatuses?: { state?: { running?: { startedAt?: string | number } | null } }[];
}
