import { hash } from "node:crypto";
import { matchesGlob } from "./glob.ts";
import { makesVirtualFunctions, namesByUdev } from "./lateLinks.ts";
import { isSection, sectionsIn, nameOf, sectionAt, textsIn, type Section } from "./sections.ts";

/** Hardware that a machine configuration names, and where. A plain value: it is passed from the program to the provider. */
export type NamedHardware = { readonly path: string } & (
  | { readonly disk: string }
  | { readonly diskSelector: Section }
  /** `isOne`: the volume takes a whole disk, and is not created if several match. */
  | { readonly diskMatch: string; readonly isOne?: true }
  | { readonly link: string }
  /** `isOne`: all links that match get the same addresses. */
  | { readonly linkSelector: Section; readonly isOne?: true }
  /** `isOne`: the alias applies only if exactly one link matches. */
  | { readonly linkMatch: string; readonly isOne: boolean }
);

/** Documents that create the link they are named after. */
const linkMakingKinds = new Set([
  "BondConfig",
  "BridgeConfig",
  "DummyLinkConfig",
  "LinkAliasConfig",
  "VLANConfig",
  "VRFConfig",
  "VethConfig",
  "WireguardConfig",
]);
/** Documents about a link that must exist. */
const linkUsingKinds = new Set(["DHCPv4Config", "DHCPv6Config", "EthernetConfig", "LinkConfig"]);
/** Documents that name a link in a separate field. */
const linkNamingFields = new Set(["HCloudVIPConfig", "Layer2VIPConfig"]);

/** Disks, links and selectors that a configuration names, except links that it creates itself (bonds, VLANs, aliases, virtual functions). */
export function namedHardware(documents: readonly Section[]): NamedHardware[] {
  const links = makesVirtualFunctions(documents) ? [] : namedLinks(documents);
  return [...documents.flatMap(namedDisks), ...links];
}

/**
 * What else a configuration names if Talos is on the machine already, as with a disk image: it isn't installed again, whatever the configuration says
 * (siderolabs/talos v1.13 v1alpha1_sequencer.go, Install).
 */
export function withoutInstallation(named: readonly NamedHardware[]): NamedHardware[] {
  return named.filter(
    ({ path }) => !path.startsWith("machine.install.") && !path.startsWith("UnattendedInstallConfig"),
  );
}

function namedDisks(document: Section): NamedHardware[] {
  const install = sectionAt(document, "machine", "install");
  const selector = sectionAt(install, "diskSelector");
  const disk = (path: string, value: unknown): NamedHardware[] =>
    typeof value === "string" && value !== "" ? [{ path, disk: value }] : [];
  const match = sectionAt(document, "provisioning", "diskSelector")["match"];
  const kind = document["kind"];
  const wholeDisk = document["volumeType"] === "disk" ? { isOne: true as const } : {};
  return [
    // A selector takes precedence over the disk (siderolabs/talos v1.13 v1alpha1_types.go, InstallConfig).
    ...(Object.keys(selector).length === 0
      ? disk("machine.install.disk", install["disk"])
      : [{ path: "machine.install.diskSelector", diskSelector: selector }]),
    ...sectionsIn(sectionAt(document, "machine")["disks"]).flatMap((entry, index) =>
      disk(`machine.disks[${index}].device`, entry["device"]),
    ),
    ...(typeof kind === "string" && typeof match === "string"
      ? [{ path: `${kind}${nameOf(document)}`, diskMatch: match.trim(), ...wholeDisk }]
      : []),
  ];
}

function namedLinks(documents: readonly Section[]): NamedHardware[] {
  const interfaces = documents.flatMap((document) =>
    sectionsIn(sectionAt(document, "machine", "network")["interfaces"]),
  );
  const made = new Set([
    ...interfaces.flatMap(linksMadeBy),
    ...documents.flatMap(linksMadeByDocument),
    ...namesByUdev(documents),
  ]);
  // `net%d` names any number of links.
  const patterns = [...made].map((name) => name.replace("%d", "*")).filter((name) => name.includes("*"));
  const link = (path: string, name: unknown): NamedHardware[] =>
    typeof name !== "string" || made.has(name) || patterns.some((pattern) => matchesGlob(pattern, name))
      ? []
      : [{ path, link: name }];
  const selector = (path: string, value: Section, more = {}): NamedHardware[] =>
    Object.keys(value).length === 0 ? [] : [{ path, linkSelector: value, ...more }];
  return [
    ...interfaces.flatMap((entry, index) => {
      const path = `machine.network.interfaces[${index}]`;
      if (entry["ignore"] === true) return [];
      return [
        ...link(path, entry["interface"]),
        ...selector(`${path}.deviceSelector`, sectionAt(entry, "deviceSelector"), oneIfAddressed(entry)),
        ...["bond", "bridge"].flatMap((kind) => [
          ...textsIn(sectionAt(entry, kind)["interfaces"]).flatMap((name) =>
            link(`${path}.${kind}.interfaces`, name),
          ),
          ...sectionsIn(sectionAt(entry, kind)["deviceSelectors"]).flatMap((value, at) =>
            selector(`${path}.${kind}.deviceSelectors[${at}]`, value),
          ),
        ]),
      ];
    }),
    ...documents.flatMap((document) => {
      const kind = typeof document["kind"] === "string" ? document["kind"] : "";
      if (!linkUsingKinds.has(kind) && !linkMakingKinds.has(kind) && !linkNamingFields.has(kind)) return [];
      const path = `${kind}${nameOf(document)}`;
      const match = sectionAt(document, "selector")["match"];
      return [
        ...(kind === "LinkAliasConfig" && typeof match === "string"
          ? [{ path, linkMatch: match.trim(), isOne: !String(document["name"]).includes("%d") }]
          : []),
        ...(linkUsingKinds.has(kind) ? link(path, document["name"]) : []),
        ...link(`${path}, link`, document["link"]),
        ...link(`${path}, parent`, document["parent"]),
        ...textsIn(document["links"]).flatMap((name) => link(`${path}, links`, name)),
      ];
    }),
  ];
}

function oneIfAddressed(entry: Section): { isOne?: true } {
  const hasAddress = textsIn(entry["addresses"]).length > 0 || isSection(entry["vip"]);
  return hasAddress ? { isOne: true } : {};
}

/** Names of links that an entry of `machine.network.interfaces` creates, VLANs included; `*.7` if it selects the VLAN's link by its properties. */
function linksMadeBy(entry: Section): string[] {
  const name = textsIn([entry["interface"]])[0];
  const isNew = ["bond", "bridge", "wireguard"].some(
    (kind) => Object.keys(sectionAt(entry, kind)).length > 0,
  );
  return [
    ...(name !== undefined && (isNew || entry["dummy"] === true) ? [name] : []),
    ...sectionsIn(entry["vlans"]).map(({ vlanId }) =>
      name === undefined ? `*.${String(vlanId)}` : vlanName(name, String(vlanId)),
    ),
  ];
}

/** Talos shortens the names of VLANs of links with long names (siderolabs/talos v1.13 nethelpers/vlan.go). */
function vlanName(link: string, vlanId: string): string {
  const short = link.length <= 10 ? link : `${link.slice(0, 4)}${hash("sha256", link).slice(0, 6)}`;
  return `${short}.${vlanId}`;
}

function linksMadeByDocument(document: Section): string[] {
  const { kind, name } = document;
  const peer = sectionAt(document, "peer")["name"];
  return linkMakingKinds.has(String(kind)) ? textsIn([name, peer]) : [];
}
