import { createHash } from "node:crypto";
import { parse } from "yaml";
import { status } from "@grpc/grpc-js";
import semver from "semver";
import { resolveExtension } from "../../factory/catalogue.ts";
import { CallFailure } from "./failure.ts";

/** An extension in a system image. */
export interface ImageExtension {
  /** Without the publisher: `iscsi-tools`. */
  name: string;
  version: string;
}

/** An installer image, reduced to what a node needs: what it boots if this is on its disk. */
export interface NodeImage {
  reference: string;
  /** Talos version, with a leading "v". */
  version: string;
  digest: string;
  /** Absent for images that Talos releases publish themselves: only the Image Factory adds it. */
  schematic?: string;
  /** The schematic document, in its canonical form. */
  schematicYaml?: string;
  extensions: ImageExtension[];
  kernelArgs: string[];
  secureBoot: boolean;
}

/** Base URLs that stand in for a registry (`machine.registries.mirrors`). */
export type Mirrors = Record<string, string[]>;

const builtIn = "ghcr.io/siderolabs/installer";
const factoryName =
  /^(?:(?<platform>[a-z0-9-]+)-)?installer(?<secure>-secureboot)?\/(?<schematic>[0-9a-f]{64})$/;

interface Reference {
  registry: string;
  name: string;
  tag: string;
}

function parseReference(reference: string): Reference {
  const match =
    /^(?<registry>[^/]+)\/(?<name>[^@]+?)(?::(?<tag>[^:/@]+))?(?:@(?<digest>sha256:[0-9a-f]+))?$/.exec(
      reference,
    );
  const { registry, name, tag, digest } = match?.groups ?? {};
  if (registry === undefined || name === undefined) {
    throw new CallFailure(status.INVALID_ARGUMENT, `invalid reference format: ${reference}`);
  }
  return { registry, name, tag: tag ?? digest ?? "latest" };
}

/** The name that a pull returns: pinned to the pulled digest. */
export function pinned(image: NodeImage): string {
  return `${image.reference.replace(/(@sha256:[0-9a-f]+|:[^:/]+)$/, "")}@${image.digest}`;
}

/** Extension versions, by Talos release line (siderolabs/extensions, the releases' own catalogs). */
function extensionVersion(name: string, talosVersion: string): string {
  if (name !== "iscsi-tools") return talosVersion;
  if (semver.gte(talosVersion, "1.10.0-0")) return "v0.2.0";
  if (semver.gte(talosVersion, "1.9.0-0")) return "v0.1.6";
  return semver.gte(talosVersion, "1.8.0-0") ? "v0.1.5" : "v0.1.4";
}

/** Images that releases publish themselves don't require a factory. */
function releaseImage(reference: string, tag: string): NodeImage {
  // From 1.14 on only the Image Factory publishes installers (siderolabs/talos v1.14 release notes).
  if (semver.valid(tag) === null || semver.gte(tag, "1.14.0-0")) {
    throw new CallFailure(status.NOT_FOUND, `error pulling image: ${reference}: not found`);
  }
  return {
    reference,
    version: tag,
    digest: `sha256:${createHash("sha256").update(reference).digest("hex")}`,
    extensions: [],
    kernelArgs: [],
    secureBoot: false,
  };
}

/** containerd uses plain HTTP for registries on the loopback network, HTTPS for all others. */
function baseUrls(registry: string, mirrors: Mirrors): string[] {
  const scheme = /^(localhost|127\.|\[::1\])/.test(registry) ? "http" : "https";
  return [...(mirrors[registry] ?? mirrors["*"] ?? []), `${scheme}://${registry}`];
}

async function fetchFirst(urls: string[], what: string, signal: AbortSignal): Promise<Response> {
  let last = "no endpoint";
  for (const url of urls) {
    try {
      const response = await fetch(url, { headers: { accept: "*/*" }, signal });
      if (response.ok) return response;
      await response.body?.cancel();
      if (response.status === 404) {
        throw new CallFailure(status.NOT_FOUND, `error pulling image: ${what}: not found`);
      }
      last = `${url}: unexpected status from GET request: ${String(response.status)}`;
    } catch (error) {
      if (error instanceof CallFailure || signal.aborted) throw error;
      const cause = error instanceof Error ? (error.cause ?? error) : error;
      last = `${url}: ${cause instanceof Error ? cause.message : String(cause)}`;
    }
  }
  throw new CallFailure(status.UNKNOWN, `failed to pull image "${what}": ${last}`);
}

interface SchematicDocument {
  customization?: {
    extraKernelArgs?: string[];
    systemExtensions?: { officialExtensions?: string[] };
  };
}

/** Looks up an image at the registry in its reference. Its contents come from the factory's schematic, not from the caller. */
export async function resolveImage(
  reference: string,
  mirrors: Mirrors,
  signal: AbortSignal,
): Promise<NodeImage> {
  const { registry, name, tag } = parseReference(reference);
  if (`${registry}/${name}` === builtIn) return releaseImage(reference, tag);
  const { schematic, secure } = factoryName.exec(name)?.groups ?? {};
  const bases = baseUrls(registry, mirrors);
  const manifest = await fetchFirst(
    bases.map((base) => `${base}/v2/${name}/manifests/${tag}`),
    reference,
    signal,
  );
  const body = Buffer.from(await manifest.arrayBuffer());
  if (schematic === undefined) {
    throw new CallFailure(status.UNKNOWN, `${reference} is not an installer image`);
  }
  if (semver.valid(tag) === null) {
    throw new CallFailure(status.NOT_FOUND, `error pulling image: ${reference}: not found`);
  }
  const document = await fetchFirst(
    bases.map((base) => `${base}/schematics/${schematic}`),
    reference,
    signal,
  );
  const schematicYaml = await document.text();
  const { customization } = parse(schematicYaml) as SchematicDocument;
  return {
    reference,
    version: tag,
    digest:
      manifest.headers.get("docker-content-digest") ??
      `sha256:${createHash("sha256").update(body).digest("hex")}`,
    schematic,
    schematicYaml,
    extensions: (customization?.systemExtensions?.officialExtensions ?? []).map((official) => {
      const extension = (resolveExtension(official, tag) ?? official).replace(/^.*\//, "");
      return { name: extension, version: extensionVersion(extension, tag) };
    }),
    kernelArgs: customization?.extraKernelArgs ?? [],
    secureBoot: secure !== undefined,
  };
}

/** The lowest Talos minor that can upgrade to a release line (siderolabs/talos pkg/machinery/compatibility). */
const lowestHost: Record<number, number> = { 8: 5, 9: 8, 10: 8, 11: 9, 12: 10, 13: 11, 14: 12 };

/** The installer's own check before it touches the disk: why this host can't change to that release, or undefined. */
export function preflight(host: string, target: string): string | undefined {
  const from = semver.minor(host);
  const to = semver.minor(target);
  const lowest = lowestHost[to] ?? to - 2;
  if (from < lowest) return `host version ${host} is too old to upgrade to Talos ${target}`;
  if (from > to + 1) return `host version ${host} is too new to downgrade to Talos ${target}`;
  return undefined;
}
