import { nearestName } from "./nearest.ts";
import { canonicalExtension, extensionName } from "./extensions.ts";

/**
 * Names of Talos's system extensions: the build targets, including `nonfree` ones, in the Makefile of siderolabs/extensions on the branches release-1.6 to
 * release-1.14. Every release adds some: an unknown name isn't necessarily wrong, but usually a typo, and the factory rejects it only when an image is pulled.
 */
const OFFERED = (
  "amazon-ena amd-ucode amdgpu amdgpu-firmware binfmt-misc bird2 bnx2-bnx2x btrfs chelsio-drivers chelsio-firmware cloudflared crun ctr drbd dvb-cx23885 " +
  "dvb-m88ds3103 ecr-credential-provider fuse3 gasket-driver glibc gpio-pinctrl gvisor gvisor-debug hailort harbor-credential-provider " +
  "hello-world-service hyperv-guest-agent i915 i915-ucode intel-ice-firmware intel-npu intel-ucode iscsi-tools joydev kata-containers kata-containers-snp " +
  "lldpd mdadm mei mellanox-mstflint metal-agent multipath-tools nebula netbird newt nfs-utils nfsd nfsrahead nonfree-kmod-nvidia nonfree-kmod-nvidia-lts " +
  "nonfree-kmod-nvidia-production nut-client nvidia-container-toolkit nvidia-container-toolkit-lts nvidia-container-toolkit-production " +
  "nvidia-fabricmanager nvidia-fabricmanager-lts nvidia-fabricmanager-production nvidia-gdrdrv-device nvidia-open-gpu-kernel-modules " +
  "nvidia-open-gpu-kernel-modules-lts nvidia-open-gpu-kernel-modules-production nvme-cli panfrost px-fuse qemu-guest-agent qlogic-firmware " +
  "realtek-firmware revpi-firmware rockchip-rknn soci-snapshotter spin stargz-snapshotter tailscale tenstorrent thunderbolt trident-iscsi-tools uhid " +
  "uinput usb-audio-drivers usb-modem-drivers util-linux-tools v4l-uvc-drivers vc4 vmtoolsd-guest-agent wasmedge xdma-driver xe xe-guest-utilities " +
  "xen-guest-agent youki zerotier zfs"
).split(" ");

/** Names that only the Image Factory has (siderolabs/image-factory internal/profile, the new names of renamed ones). */
const KNOWN = [...OFFERED, "nvidia-fabric-manager-lts"];

/** A message about an official extension's name; undefined if the name is known. Other publishers' names are not checked. */
export function unknownExtensionMessage(reference: string): string | undefined {
  const publisher = reference.includes("/") ? reference.slice(0, reference.lastIndexOf("/")) : "siderolabs";
  const name = extensionName(reference);
  const isKnown = KNOWN.includes(name) || KNOWN.includes(canonicalExtension(name));
  const isOfficial = publisher === "siderolabs";
  // Another publisher's, unless only the publisher is a typo.
  if (isOfficial ? isKnown : nearestName(["siderolabs"], publisher) === undefined) return undefined;
  const meant = nearestName(OFFERED, name.replaceAll("_", "-"));
  return meant === undefined
    ? `${reference} is not a known official extension; check that the Image Factory offers it for this release`
    : `${reference} is not a known official extension; did you mean siderolabs/${meant}?`;
}
