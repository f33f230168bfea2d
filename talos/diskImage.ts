/** Disk images of the Image Factory: what a machine boots from where no installer has run, such as a Raspberry Pi or a cloud's machine. */
import { assetUrl, type Architecture, type FactoryImageSpec } from "./image.ts";

/**
 * Formats in which the factory serves each platform's disk image (siderolabs/image-factory internal/profile/profile.go). It compresses as the address
 * asks, so `.xz`, which every release knows, is asked for where the platform takes any.
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

/** Where to fetch the disk image of a platform; undefined for a platform that has none, such as one that boots over the network alone. */
export function diskImageUrl(
  spec: FactoryImageSpec,
  architecture: Architecture = "amd64",
): string | undefined {
  const format = formats[spec.platform];
  return format === undefined ? undefined : assetUrl(spec, architecture, format);
}
