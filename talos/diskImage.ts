/** Disk images of the Image Factory: for machines that boot without running an installer, such as a Raspberry Pi or a cloud VM. */
import { assetUrl, type Architecture, type FactoryImageSpec } from "./image.ts";

/**
 * The factory's disk image format per platform (siderolabs/image-factory internal/profile/profile.go). The URL selects the compression, so `.xz`, which every
 * release supports, is used where the platform accepts any.
 */
const formats: Readonly<Record<string, string>> = {
  akamai: "raw.gz",
  alibabacloud: "qcow2",
  aws: "raw.xz",
  azure: "vhd.xz",
  cloudstack: "raw.xz",
  "digital-ocean": "raw.gz",
  exoscale: "qcow2",
  gcp: "raw.tar.gz",
  hcloud: "raw.xz",
  metal: "raw.xz",
  nocloud: "raw.xz",
  opennebula: "raw.xz",
  openstack: "raw.xz",
  oracle: "qcow2",
  scaleway: "raw.xz",
  upcloud: "raw.xz",
  vmware: "ova",
  vultr: "raw.xz",
};

/** The URL of a platform's disk image; undefined for a platform that has none, such as one that only boots over the network. */
export function diskImageUrl(
  spec: FactoryImageSpec,
  architecture: Architecture = "amd64",
): string | undefined {
  const format = formats[spec.platform];
  return format === undefined ? undefined : assetUrl(spec, architecture, format);
}
