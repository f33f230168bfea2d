import { isScalar, parseAllDocuments } from "yaml";
import type { CosiResource } from "./cosi.ts";
import type { StaticPod } from "./talosClient.ts";

/** Extracts a machine configuration from its resource's YAML: a string since Talos 1.12, before that the documents themselves. */
export function extractConfiguration(spec: string): string {
  const documents = parseAllDocuments(spec, { schema: "failsafe", prettyErrors: false });
  const [only, ...more] = Array.isArray(documents) ? documents : [];
  const value: unknown = more.length === 0 && isScalar(only?.contents) ? only.contents.value : undefined;
  return typeof value === "string" ? value : spec;
}

/** A static pod component, from its manifest and its status. */
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
  // The pod's startTime belongs to the mirror pod and doesn't change when the kubelet restarts the containers (seen on v1.13).
  const started = (status.containerStatuses ?? []).map(({ state }) =>
    Date.parse(String(state?.running?.startedAt ?? "")),
  );
  const manifest = pods.find(({ id }) => id.includes(component));
  const written = manifest?.updatedMs;
  const { containers } = (manifest?.spec["spec"] ?? {}) as PodSpec;
  const image = (list: readonly Container[] | undefined): string | undefined =>
    list?.find(({ name }) => name === component)?.image;
  const [wanted, runs] = [image(containers), image(status.containerStatuses)];
  // Pod times are whole seconds. A container without a start time tells nothing: `ready` must do.
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
