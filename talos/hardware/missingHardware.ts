import { lacksOnlyTransport, matchesExpression, matchesSelector } from "./disks.ts";
import { matchesGlob } from "./glob.ts";
import { matchesLinkExpression } from "./linkExpression.ts";
import type { NamedHardware } from "./named.ts";
import {
  describeDisks,
  describeLinks,
  isPhysical,
  isRealDisk,
  type Hardware,
  type ReportedDisk,
  type ReportedLink,
} from "./reported.ts";
import { textsIn, describeSection, type Section } from "./sections.ts";

/**
 * Hardware that a machine configuration names but the machine lacks: disks, links and selectors without a match. One sentence each. Hardware that the node
 * doesn't report, or that only the node can evaluate, doesn't count.
 * @param isRunning the machine has its configuration: its iSCSI disks may be volumes of pods
 */
export function findMissingHardware(
  named: readonly NamedHardware[],
  reported: Hardware,
  isRunning = false,
): string[] {
  const local = isRunning ? reported.disks.filter(isLocal) : reported.disks;
  const links = reported.links.map(withOwnAddress);
  return named.flatMap((one): string[] => {
    if ("link" in one || "linkSelector" in one || "linkMatch" in one) {
      const problem = links.length === 0 ? undefined : missingLink(one, links);
      return problem === undefined ? [] : [`${one.path}: ${problem}; the node has ${describeLinks(links)}.`];
    }
    const disks = "diskMatch" in one && one.diskMatch.includes("iscsi") ? reported.disks : local;
    const problem = disks.length === 0 ? undefined : missingDisk(one, disks);
    return problem === undefined ? [] : [`${one.path}: ${problem}; the node has ${describeDisks(disks)}.`];
  });
}

/** Volumes of pods come and go, and Talos must not partition them. */
function isLocal({ isSystemDisk, fields }: ReportedDisk): boolean {
  return isSystemDisk === true || fields["transport"] !== "iscsi";
}

type NamedLink = Extract<NamedHardware, { link: string } | { linkSelector: Section } | { linkMatch: string }>;

function missingDisk(named: Exclude<NamedHardware, NamedLink>, disks: readonly ReportedDisk[]) {
  if ("disk" in named) return hasDisk(named.disk, disks) ? undefined : `there is no disk ${named.disk}`;
  if ("diskMatch" in named) {
    const { diskMatch, isOne } = named;
    // Volumes are not put on others (siderolabs/talos v1.13 block/internal/volumes/locate.go).
    const writable = disks.filter(({ fields }) => fields["readonly"] !== true);
    const verdicts = writable.map((disk) => matchesExpression(diskMatch, disk));
    if (verdicts.every((verdict) => verdict === false)) return `no disk matches \`${diskMatch}\``;
    const count = verdicts.filter((verdict) => verdict === true).length;
    return isOne === true && count > 1
      ? `${count} disks match \`${diskMatch}\`, but a volume of type disk needs exactly one`
      : undefined;
  }
  const { diskSelector } = named;
  if (disks.some((disk) => matchesSelector(diskSelector, disk) !== false)) return undefined;
  const skipped = disks.filter((disk) => isRealDisk(disk) && lacksOnlyTransport(diskSelector, disk));
  const hint =
    skipped.length === 0
      ? ""
      : `: Talos skips disks without a transport (${skipped.map(({ id }) => id).join(", ")}), so name one in machine.install.disk`;
  return `no disk matches \`${describeSection(diskSelector)}\`${hint}`;
}

function hasDisk(device: string, disks: readonly ReportedDisk[]): boolean {
  // Of all links, nodes report only udev's below /dev/disk, and not in older releases.
  const isLink = device.lastIndexOf("/") > "/dev".length;
  const reportsLinks = disks.some(({ fields }) => Array.isArray(fields["symlinks"]));
  const isReported = !isLink || (device.startsWith("/dev/disk/") && reportsLinks);
  return !isReported || disks.some((disk) => isDiskAt(disk, device));
}

/** By its path, or by one of udev's links. */
function isDiskAt({ id, fields }: ReportedDisk, device: string): boolean {
  const links = fields["symlinks"];
  return (
    device === fields["dev_path"] ||
    device === `/dev/${id}` ||
    (Array.isArray(links) && links.includes(device))
  );
}

function missingLink(named: NamedLink, links: readonly ReportedLink[]): string | undefined {
  if ("link" in named)
    return links.flatMap(linkNames).includes(named.link) ? undefined : `there is no link ${named.link}`;
  if ("linkMatch" in named) {
    const { linkMatch, isOne } = named;
    // Bonds and VLANs get no alias (siderolabs/talos v1.14 network/link_alias_config.go).
    const cards = links.filter(isPhysical);
    const verdictsOn = (match: string) => cards.map((link) => matchesLinkExpression(match, link));
    const verdicts = verdictsOn(linkMatch);
    if (verdicts.every((verdict) => verdict === false))
      return `no link matches \`${linkMatch}\`${caseHint(verdictsOn(linkMatch.toLowerCase()))}`;
    const count = verdicts.filter((verdict) => verdict === true).length;
    return isOne && count > 1
      ? `${count} links match \`${linkMatch}\`, but an alias must match exactly one`
      : undefined;
  }
  const { linkSelector, isOne } = named;
  if (links.some((link) => matchesLink(linkSelector, link) !== false)) {
    // A VLAN has its link's address, so it matches, too.
    const count = links.filter((link) => isPhysical(link) && matchesLink(linkSelector, link) === true).length;
    return isOne === true && count > 1
      ? `${count} links match \`${describeSection(linkSelector)}\`, and all would get its addresses`
      : undefined;
  }
  const inAnyCase = links.map((link) => matchesLink(linkSelector, link, (text) => text.toLowerCase()));
  return `no link matches \`${describeSection(linkSelector)}\`${caseHint(inAnyCase)}`;
}

/** Talos writes MAC addresses in lower case, and doesn't find others (siderolabs/talos#8176). */
function caseHint(verdictsInAnyCase: readonly (boolean | undefined)[]): string {
  return verdictsInAnyCase.includes(true) ? ": Talos distinguishes upper and lower case" : "";
}

/** A running bond gives all members its own address. At the next boot, selectors find them by their permanent ones. */
function withOwnAddress(link: ReportedLink): ReportedLink {
  const { slaveKind, permanentAddr } = link.fields;
  if (slaveKind !== "bond" || typeof permanentAddr !== "string" || permanentAddr === "") return link;
  return { ...link, fields: { ...link.fields, hardwareAddr: permanentAddr } };
}

function linkNames({ id, fields }: ReportedLink): string[] {
  return [id, ...textsIn([fields["alias"]]), ...textsIn(fields["altNames"])];
}

/** Fields of a device selector and of the link they are compared with; the names are the same. */
const comparedFields = ["busPath", "driver", "hardwareAddr", "pciID", "permanentAddr"];

/** Undefined if the node doesn't report enough. */
function matchesLink(
  selector: Section,
  link: ReportedLink,
  fold: (text: string) => string = (text) => text,
): boolean | undefined {
  const verdicts = Object.entries(selector).map(([key, value]): boolean | undefined => {
    if (key === "physical") return value === true ? isPhysical(link) : undefined;
    const reported = comparedFields.includes(key) ? link.fields[key] : undefined;
    if (typeof reported !== "string" || reported === "") return isPhysical(link) ? undefined : false;
    return matchesGlob(fold(String(value)), fold(reported));
  });
  if (verdicts.includes(false)) return false;
  return verdicts.includes(undefined) ? undefined : true;
}
