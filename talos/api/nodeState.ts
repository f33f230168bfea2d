import { isScalar, parseAllDocuments } from "yaml";
import type { CosiResource } from "./cosi.ts";
import type { StaticPod } from "./talosClient.ts";

/** The text of a machine configuration out of the YAML of its resource: from Talos 1.12 on a text in YAML, before that the documents themselves. */
export function extractConfiguration(spec: string): string {
  const documents = parseAllDocuments(spec, { schema: "failsafe", prettyErrors: false });
  const [only, ...more] = Array.isArray(documents) ? documents : [];
  const value: unknown = more.length === 0 && isScalar(only?.contents) ? only.contents.value : undefined;
  return typeof value === "string" ? value : spec;
}

/** A component among the static pods: what its manifest and its status say. */
export function toStaticPod(
  component: string,
  pods: readonly CosiResource[],
  statuses: readonly CosiResource[],
): StaticPod | undefined {
  const spec = statuses.find(({ id }) => id.includes(component))?.spec;
  if (spec === undefined) return undefined;
  // In YAML the resource is the pod's status itself (siderolabs/talos v1.6 to v1.14, resources/k8s/static_pod_status.go, MarshalYAML).
  const status = (spec["podStatus"] ?? spec) as PodStatus;
  const ready =
    status.conditions?.some((condition) => condition.type === "Ready" && condition.status === "True") ??
    false;
  // The pod's own startTime is the mirror pod's, which stays the same when the kubelet restarts the containers (seen on v1.13).
  const started = (status.containerStatuses ?? []).map(({ state }) =>
    Date.parse(String(state?.running?.startedAt ?? "")),
  );
  const manifest = pods.find(({ id }) => id.includes(component));
  const written = manifest?.updatedMs;
  const { containers } = (manifest?.spec["spec"] ?? {}) as PodSpec;
  const image = (list: readonly Container[] | undefined): string | undefined =>
    list?.find(({ name }) => name === component)?.image;
  const [wanted, runs] = [image(containers), image(status.containerStatuses)];
  // Times of pods are whole seconds. A container whose start is not told says nothing: `ready` has to do for it.
  return {
    ready,
    outdated: written !== undefined && started.some((at) => at + 1_000 < written),
    ...(wanted === undefined ? {} : { wantedImage: wanted }),
    ...(runs === undefined ? {} : { image: runs }),
  };
}

interface Container {
  name?: string;
  image?: string;
}

interface PodSpec {
  containers?: Container[];
}

interface PodStatus {
  conditions?: { type?: string; status?: string }[];
  containerStatuses?: (Container & { state?: { running?: { startedAt?: string | number } | null } })[];
}
