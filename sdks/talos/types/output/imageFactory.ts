/** Keeps the extensions with exactly these names. */
export interface GetExtensionsVersionsExactFilters {
  /** Full names, for example `siderolabs/iscsi-tools`. */
  names?: string[];
}

/** A system extension that the factory can include. */
export interface GetExtensionsVersionsExtensionsInfo {
  /** Who publishes it. */
  author: string;
  /** The author's description. */
  description: string;
  /** The digest of its image. */
  digest: string;
  /** The name for a schematic, for example `siderolabs/iscsi-tools`. */
  name: string;
  /** The image with its tag. */
  ref: string;
}

/** Keeps the extensions whose names contain one of these. */
export interface GetExtensionsVersionsFilters {
  /** Parts of names, for example `iscsi`. */
  names?: string[];
}

/** Keeps the overlays whose names contain this. */
export interface GetOverlaysVersionsFilters {
  /** Part of a name, for example `rpi`. */
  name?: string;
}

/** A board overlay that the factory can include. */
export interface GetOverlaysVersionsOverlaysInfo {
  /** The digest of its image. */
  digest: string;
  /** The image that holds it, as a schematic names it. */
  image: string;
  /** The overlay's name, for example `rpi_generic`. */
  name: string;
  /** The image with its tag. */
  ref: string;
}

/** Where the factory serves the images of one schematic and Talos version. */
export interface GetUrlsUrls {
  /** Disk image, compressed. */
  diskImage: string;
  /** Disk image for SecureBoot. */
  diskImageSecureboot: string;
  /** Initramfs for a network boot. */
  initramfs: string;
  /** Installer image: what `machine.install.image` and an upgrade take. */
  installer: string;
  /** Installer image for SecureBoot. */
  installerSecureboot: string;
  /** Boot ISO. */
  iso: string;
  /** Boot ISO for SecureBoot. */
  isoSecureboot: string;
  /** Kernel for a network boot. */
  kernel: string;
  /** File with the kernel's command line. */
  kernelCommandLine: string;
  /** iPXE script. */
  pxe: string;
  /** Unified kernel image. */
  uki: string;
}

/** Which Talos versions are listed. */
export interface GetVersionsFilters {
  /** Leave out alpha, beta and rc versions. */
  stableVersionsOnly?: boolean;
}
