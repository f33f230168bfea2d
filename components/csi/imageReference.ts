/** The parts of a container image reference. */
export interface ImageReference {
  /** The registry's host, with its port if any: `registry.k8s.io`. Absent for Docker Hub's short form. */
  host: string | undefined;
  /** The path below the host: `sig-storage/csi-provisioner`. */
  path: string;
  tag: string | undefined;
  /** `sha256:…` */
  digest: string | undefined;
}

const path = /^[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*$/;
const host = /^([A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*|\[[A-Fa-f0-9:]+\])(:\d{1,5})?$/;
const tag = /^\w[\w.-]{0,127}$/;
const digest = /^sha256:[0-9a-f]{64}$/;

/** Parses an image reference; undefined if it is invalid. */
export function parseImageReference(reference: string): ImageReference | undefined {
  const at = reference.indexOf("@");
  const named = at < 0 ? reference : reference.slice(0, at);
  const digestPart = at < 0 ? undefined : reference.slice(at + 1);
  const slash = named.indexOf("/");
  const first = named.slice(0, slash);
  // The container tools' rule: the first part is a host if it contains a dot or a port or is localhost.
  const hasHost = slash > 0 && (/[.:]/.test(first) || first === "localhost");
  const rest = hasHost ? named.slice(slash + 1) : named;
  const colon = rest.indexOf(":");
  const parsed = {
    host: hasHost ? first : undefined,
    path: colon < 0 ? rest : rest.slice(0, colon),
    tag: colon < 0 ? undefined : rest.slice(colon + 1),
    digest: digestPart,
  };
  const legal =
    path.test(parsed.path) &&
    (parsed.host === undefined || host.test(parsed.host)) &&
    (parsed.tag === undefined || tag.test(parsed.tag)) &&
    (parsed.digest === undefined || digest.test(parsed.digest));
  return legal ? parsed : undefined;
}

/**
 * Why an image may not be used: it is not a reference, or its content can change without a change here. A node that restarts would then run a different driver
 * than its neighbor.
 */
export function imageProblem(reference: string): string | undefined {
  const parsed = parseImageReference(reference);
  if (parsed === undefined)
    return `"${reference}" is not an image reference; use host/path:tag or host/path@sha256:<64 hex digits>`;
  if (parsed.digest !== undefined) return undefined;
  if (parsed.tag === undefined)
    return `"${reference}" has neither tag nor digest, which means :latest; set the version that you tested`;
  if (parsed.tag === "latest") return `"${reference}" can change at any time; use a version tag or a digest`;
  return undefined;
}

/**
 * The same image in another registry: only the host is replaced; path, tag and digest stay (`registry.k8s.io/sig-storage/csi-attacher:v4.12.0` in
 * `mirror.example.com/k8s` is `mirror.example.com/k8s/sig-storage/csi-attacher:v4.12.0`).
 */
export function inRegistry(reference: string, registry: string | undefined): string {
  const parsed = parseImageReference(reference);
  if (registry === undefined || parsed === undefined) return reference;
  const suffix = `${parsed.tag === undefined ? "" : `:${parsed.tag}`}${parsed.digest === undefined ? "" : `@${parsed.digest}`}`;
  return `${registry.replace(/\/+$/, "")}/${parsed.path}${suffix}`;
}
