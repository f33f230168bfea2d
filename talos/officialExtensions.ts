import { nearest } from "./nearest.ts";
import { canonicalExtension, extensionName } from "./extensions.ts";

/**
 * Names of the system extensions that Talos's own repository (siderolabs/extensions) has offered from 1.6 to 1.14. New ones come with each release: an
 * unknown name is no mistake by itself, but most often a slip, and the factory refuses it only when an image is pulled.
 */
const KNOWN = (
  "amazon-ena amd-ucode amdgpu amdgpu-firmware binfmt-misc bnx2-bnx2x btrfs chelsio-drivers chelsio-firmware cloudflared crun drbd " +
  "dvb-cx23885 dvb-m88ds3103 ecr-credential-provider fuse3 gasket gasket-driver glibc gvisor gvisor-debug hailort i915 i915-ucode " +
  "intel-ice-firmware intel-ucode iscsi-tools kata-containers lldpd mdadm mei metal-agent multipath-tools nebula netbird newt nfs-utils nfsd " +
  "nfsrahead nonfree-kmod-nvidia nonfree-kmod-nvidia-lts nonfree-kmod-nvidia-production nut-client nvidia-container-toolkit " +
  "nvidia-container-toolkit-lts nvidia-container-toolkit-production nvidia-fabric-manager-lts nvidia-fabric-manager-production " +
  "nvidia-fabricmanager nvidia-gdrdrv-device nvidia-open-gpu-kernel-modules nvidia-open-gpu-kernel-modules-lts " +
  "nvidia-open-gpu-kernel-modules-production nvme-cli panfrost qemu-guest-agent qlogic-firmware realtek-firmware revpi-firmware spin " +
  "stargz-snapshotter tailscale talos-vmtoolsd tenstorrent thunderbolt trident-iscsi-tools uinput usb-audio-drivers usb-modem " +
  "usb-modem-drivers util-linux-tools v4l-uvc v4l-uvc-drivers vc4 vmtoolsd-guest-agent wasmedge xdma-driver xe xe-guest-utilities " +
  "xen-guest-agent youki zerotier zfs"
).split(" ");

/** What to say of an official extension's name; undefined where the name is known. Names of other publishers are theirs to know. */
export function strangeExtension(reference: string): string | undefined {
  const publisher = reference.includes("/") ? reference.slice(0, reference.lastIndexOf("/")) : "siderolabs";
  const name = extensionName(reference);
  if (publisher !== "siderolabs" || KNOWN.includes(name) || KNOWN.includes(canonicalExtension(name)))
    return undefined;
  const meant = nearest(KNOWN, name);
  return meant === undefined
    ? `${reference} is no official extension that is known here; check that the Image Factory has it for this release`
    : `${reference} is no official extension that is known here; did you mean siderolabs/${meant}?`;
}
