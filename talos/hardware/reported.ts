/** The hardware that a node reports. Empty lists if a Talos release doesn't support them: nothing is known then. */
export interface Hardware {
  readonly disks: readonly ReportedDisk[];
  readonly links: readonly ReportedLink[];
}

/** A block device (COSI `Disks`, Talos 1.8 and newer). */
export interface ReportedDisk {
  /** `sda` */
  readonly id: string;
  /** Whether Talos is installed on it; undefined if it is installed on no disk yet. */
  readonly isSystemDisk: boolean | undefined;
  /** The resource's own fields: `dev_path`, `size`, `transport`, … */
  readonly fields: Readonly<Record<string, unknown>>;
}

/** A network link (COSI `LinkStatuses`). */
export interface ReportedLink {
  /** `enp1s0` */
  readonly id: string;
  /** The resource's own fields: `hardwareAddr`, `driver`, `kind`, … */
  readonly fields: Readonly<Record<string, unknown>>;
}

/** Devices that are not physical hardware. */
const virtualDisk = /^(loop|ram|zram|dm-|md|nbd|sr)\d*/;

/** `sda 64 GB, nvme0n1 32 GB` */
export function describeDisks(disks: readonly ReportedDisk[]): string {
  const real = disks.filter(isRealDisk);
  if (real.length === 0) return "no disk";
  return real.map(({ id, fields }) => `${id} ${prettySize(fields)}`.trimEnd()).join(", ");
}

export function isRealDisk({ id, fields }: ReportedDisk): boolean {
  return !virtualDisk.test(id) && fields["cdrom"] !== true;
}

function prettySize(fields: Readonly<Record<string, unknown>>): string {
  const pretty = fields["pretty_size"];
  if (typeof pretty === "string" && pretty !== "") return pretty;
  const size = Number(fields["size"]);
  return Number.isFinite(size) ? `${Math.round(size / 1e9)} GB` : "";
}

/** `enp1s0 (52:54:00:12:34:56, virtio_net), …` */
export function describeLinks(links: readonly ReportedLink[]): string {
  const real = links.filter(isPhysical);
  if (real.length === 0) return "no network card";
  return real
    .map(({ id, fields }) => {
      const known = [fields["hardwareAddr"], fields["driver"]].filter(
        (value): value is string => typeof value === "string" && value !== "",
      );
      return known.length === 0 ? id : `${id} (${known.join(", ")})`;
    })
    .join(", ");
}

/** A network card, not a bond, a VLAN or a link created by a CNI plugin. */
export function isPhysical({ id, fields }: ReportedLink): boolean {
  const { kind, type } = fields;
  return id !== "lo" && (kind === undefined || kind === "") && (type === undefined || type === "ether");
}
