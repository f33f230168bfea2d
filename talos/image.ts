/** References to what the Image Factory builds from a schematic: installer images, ISO and PXE URLs. */
import { coded } from "./errorCodes.ts";
import { hasPlatformInstaller } from "./features.ts";
import { parseVersion } from "./version.ts";

/** A reference that is not an Image Factory installer. */
class ImageError extends Error {
  override readonly name = "ImageError";

  constructor(problem: string) {
    super(coded("image-reference", problem));
  }
}

/** The public factory, and the default throughout. */
export const PUBLIC_FACTORY = "https://factory.talos.dev";

/** The parts of a factory image reference. */
export interface FactoryImageSpec {
  /** The factory's address, `https://factory.talos.dev`; a bare host means https. */
  readonly factory: string;
  /** The image's platform, `metal`, `vmware`, `aws`. */
  readonly platform: string;
  /** Whether to use the SecureBoot variant, which has its own installer. */
  readonly secureBoot: boolean;
  /** 64 hexadecimal digits. */
  readonly schematicId: string;
  /** The Talos release, `v1.13.9`. */
  readonly version: string;
}

/** Machine architectures that Talos supports. */
export type Architecture = "amd64" | "arm64";

const SCHEMATIC_ID = /^[0-9a-f]{64}$/;
const PLATFORM = /^[a-z0-9][a-z0-9.-]*$/;

/** Whether the text has the form of a schematic ID. */
function isSchematicId(text: string): boolean {
  return SCHEMATIC_ID.test(text);
}

/**
 * The installer image of a schematic: `factory.talos.dev/metal-installer/<id>:v1.13.9`. Releases before 1.10 have one installer for every platform:
 * `factory.talos.dev/installer/<id>:v1.6.7`.
 */
export function installerImage(spec: FactoryImageSpec): string {
  const { schematicId, version } = validateSpec(spec);
  return `${registryOf(spec.factory)}/${installerName(spec)}/${schematicId}:${version}`;
}

/** The name of the installer repository: `metal-installer-secureboot`, or before 1.10 `installer-secureboot`. */
function installerName({ platform, secureBoot, version }: FactoryImageSpec): string {
  const name = hasPlatformInstaller(version) ? `${platform}-installer` : "installer";
  return secureBoot ? `${name}-secureboot` : name;
}

/** The URL of the ISO that boots a new machine. */
export function isoUrl(spec: FactoryImageSpec, architecture: Architecture = "amd64"): string {
  return assetUrl(spec, architecture, "iso");
}

/** A file that the factory builds: `<factory>/image/<id>/<release>/metal-amd64.iso`. */
export function assetUrl(spec: FactoryImageSpec, architecture: Architecture, suffix: string): string {
  const { schematicId, version } = validateSpec(spec);
  return `${baseUrl(spec.factory)}/image/${schematicId}/${version}/${assetName(spec, architecture)}.${suffix}`;
}

/** The URL of the iPXE script that boots a new machine over the network. */
export function pxeUrl(spec: FactoryImageSpec, architecture: Architecture = "amd64"): string {
  const { schematicId, version } = validateSpec(spec);
  const base = new URL(baseUrl(spec.factory));
  // The public factory serves PXE scripts from a separate host (factory.talos.dev shows pxe.factory.talos.dev).
  if (base.host === "factory.talos.dev") base.host = "pxe.factory.talos.dev";
  return `${trimSlash(base.href)}/pxe/${schematicId}/${version}/${assetName(spec, architecture)}`;
}

function assetName({ platform, secureBoot }: FactoryImageSpec, architecture: Architecture): string {
  return `${platform}-${architecture}${secureBoot ? "-secureboot" : ""}`;
}

/** The parts of an installer reference. */
export interface InstallerReference {
  /** Registry host and path prefix: `factory.talos.dev`, `127.10.0.2:8080`. */
  readonly registry: string;
  /** `metal`; absent in the form without a platform, before 1.10. */
  readonly platform?: string;
  readonly secureBoot: boolean;
  /** Absent for an installer not built by a factory, `ghcr.io/siderolabs/installer:v1.12.7`: it has no customization. */
  readonly schematicId?: string;
  /** The tag, `v1.13.9`; absent if the reference has only a digest. */
  readonly version?: string;
  /** `sha256:…`, if the reference is pinned. */
  readonly digest?: string;
}

/** Parses an installer reference; undefined for an image that doesn't follow Talos's installer naming, such as a custom one. */
export function installerPartsOf(reference: string): InstallerReference | undefined {
  const match = /^([^@\s]+?)(?::([A-Za-z0-9_][\w.-]*))?(?:@(sha256:[0-9a-f]{64}))?$/.exec(reference);
  const path = match?.[1]?.split("/") ?? [];
  const last = path.at(-1) ?? "";
  const schematicId = isSchematicId(last) ? last : undefined;
  const name = schematicId === undefined ? last : (path.at(-2) ?? "");
  const registry = path.slice(0, schematicId === undefined ? -1 : -2).join("/");
  const installer = /^(?:(.+)-)?installer(-secureboot)?$/.exec(name);
  if (match === null || installer === null || registry === "" || (match[2] ?? match[3]) === undefined)
    return undefined;
  return {
    registry,
    ...(installer[1] === undefined ? {} : { platform: installer[1] }),
    secureBoot: installer[2] !== undefined,
    ...(schematicId === undefined ? {} : { schematicId }),
    ...(match[2] === undefined ? {} : { version: match[2] }),
    ...(match[3] === undefined ? {} : { digest: match[3] }),
  };
}

function validateSpec(spec: FactoryImageSpec): FactoryImageSpec {
  if (!isSchematicId(spec.schematicId)) {
    throw new ImageError(`"${spec.schematicId}" is not a schematic ID, which has 64 hexadecimal digits`);
  }
  if (!PLATFORM.test(spec.platform)) {
    throw new ImageError(`"${spec.platform}" is not a platform such as "metal" or "vmware"`);
  }
  parseVersion(spec.version);
  return spec;
}

function baseUrl(factory: string): string {
  const text = factory.includes("://") ? factory : `https://${factory}`;
  if (!URL.canParse(text) || !/^https?:$/.test(new URL(text).protocol)) {
    throw new ImageError(`"${factory}" is not the address of an Image Factory such as "${PUBLIC_FACTORY}"`);
  }
  return trimSlash(new URL(text).href);
}

function registryOf(factory: string): string {
  return baseUrl(factory).replace(/^https?:\/\//, "");
}

function trimSlash(text: string): string {
  return text.replace(/\/+$/, "");
}
