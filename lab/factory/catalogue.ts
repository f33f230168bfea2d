import semver from "semver";
import { canonicalExtension } from "../../talos/extensions.ts";

/** The last patch release of each line (siderolabs/talos tags, November 2026). */
const lastPatch = {
  "1.6": 7,
  "1.7": 7,
  "1.8": 4,
  "1.9": 6,
  "1.10": 9,
  "1.11": 6,
  "1.12": 11,
  "1.13": 9,
  "1.14": 1,
};
const preReleases = ["v1.13.0-beta.0", "v1.14.0-rc.1"];

/** Talos releases that the stand-in offers, oldest first: every stable one, and pre-releases of the newest lines. */
export const talosVersions: readonly string[] = semver.sort([
  ...Object.entries(lastPatch).flatMap(([line, last]) =>
    Array.from({ length: last + 1 }, (_, patch) => `v${line}.${patch}`),
  ),
  ...preReleases,
]);

interface Extension {
  name: string;
  description: string;
  /** The first Talos release that has it, and the first that no longer does. */
  since?: string;
  until?: string;
}

const extensions: readonly Extension[] = [
  { name: "amd-ucode", description: "AMD CPU microcode" },
  { name: "amdgpu", description: "AMD GPU driver and firmware", since: "1.8.0" },
  { name: "amdgpu-firmware", description: "AMD GPU firmware", until: "1.8.0" },
  { name: "gvisor", description: "gVisor container runtime" },
  { name: "i915", description: "Intel GPU driver and firmware", since: "1.8.0" },
  { name: "i915-ucode", description: "Intel GPU firmware", until: "1.8.0" },
  { name: "intel-ucode", description: "Intel CPU microcode" },
  { name: "iscsi-tools", description: "iSCSI initiator: iscsid and iscsiadm" },
  { name: "nvme-cli", description: "NVMe command line tools", since: "1.10.0" },
  { name: "qemu-guest-agent", description: "QEMU guest agent" },
  { name: "tailscale", description: "Tailscale client" },
  { name: "util-linux-tools", description: "util-linux programs such as fstrim and nsenter" },
  { name: "zfs", description: "ZFS kernel module and tools" },
];

export interface ExtensionInfo {
  name: string;
  ref: string;
  digest: string;
  author: string;
  description: string;
}

/** The official extensions of a release, in the shape of `GET /version/:v/extensions/official`. */
export function officialExtensions(talosVersion: string, digest: (ref: string) => string): ExtensionInfo[] {
  return extensions
    .filter(({ since = "0.0.0", until }) => {
      const release = semver.coerce(talosVersion) ?? "0.0.0";
      return semver.gte(release, since) && (until === undefined || semver.lt(release, until));
    })
    .map(({ name, description }) => {
      const ref = `ghcr.io/siderolabs/${name}:${extensionVersion(name, talosVersion)}`;
      return { name: `siderolabs/${name}`, ref, digest: digest(ref), author: "Sidero Labs", description };
    });
}

/** The extension that the factory builds for a name. For an old name that a release no longer has, that is the renamed extension. */
export function resolveExtension(reference: string, talosVersion: string): string | undefined {
  const offered = officialExtensions(talosVersion, () => "").map(({ name }) => name);
  return [reference, `siderolabs/${canonicalExtension(reference)}`].find((name) => offered.includes(name));
}

/** Exact for iscsi-tools (siderolabs/extensions storage/iscsi-tools, by release branch); the others use the Talos release. */
function extensionVersion(name: string, talosVersion: string): string {
  if (name !== "iscsi-tools") {
    return talosVersion;
  }
  const release = semver.coerce(talosVersion) ?? "0.0.0";
  if (semver.gte(release, "1.10.0")) {
    return "v0.2.0";
  }
  if (semver.gte(release, "1.9.0")) {
    return "v0.1.6";
  }
  return semver.gte(release, "1.8.0") ? "v0.1.5" : "v0.1.4";
}
