/**
 * A node's links in its machine configuration: `machine.network` up to contract v1.13, and since v1.14 one document per object (siderolabs/talos v1.14
 * pkg/machinery/config/types/network). Names are Talos's own.
 */
import { stringify } from "yaml";
import { readBaseLinks, type BaseLinks } from "./baseLinks.ts";
import { contractAtLeast } from "./version.ts";

/** Selects a link by its properties. A value may contain `*` where Talos allows a glob. */
export interface DeviceSelector {
  readonly busPath?: string | undefined;
  readonly hardwareAddr?: string | undefined;
  readonly permanentAddr?: string | undefined;
  readonly pciID?: string | undefined;
  readonly driver?: string | undefined;
}

/** A link by its name, or by its properties. */
export interface LinkName {
  readonly interface?: string | undefined;
  readonly deviceSelector?: DeviceSelector | undefined;
}

/** A link and its addresses. */
export interface NetworkInterface extends LinkName {
  /** With prefix length: `10.0.0.11/24`. */
  readonly addresses: readonly string[];
  readonly routes: readonly Route[];
  readonly dhcp: boolean;
  readonly mtu?: number | undefined;
}

/** A route of an interface, as in the machine configuration. */
export interface Route {
  /** Absent: the default route. */
  readonly network?: string | undefined;
  readonly gateway: string;
  readonly metric?: number | undefined;
}

/** An address shared by the control planes: one of them has it at a time. */
export interface VirtualIp extends LinkName {
  readonly address: string;
}

/**
 * The links, name servers and virtual IP of one node; undefined if there is nothing to set. A link in the base file keeps its DHCP setting unless DHCP is
 * requested; the virtual IP alone changes nothing else about it.
 */
export function networkPatch({
  interfaces = [],
  nameservers = [],
  vip,
  contract,
  base,
}: {
  readonly interfaces?: readonly NetworkInterface[] | undefined;
  readonly nameservers?: readonly string[] | undefined;
  readonly vip?: VirtualIp | undefined;
  readonly contract: string;
  /** The machine configuration that the patch is for, if it exists. */
  readonly base?: string | undefined;
}): string | undefined {
  const there = base === undefined ? undefined : readBaseLinks(base);
  const links = vip === undefined ? interfaces : withVipLink(vip, interfaces);
  if (links.length === 0 && nameservers.length === 0) return undefined;
  const listed = new Set<LinkName>(interfaces);
  return contractAtLeast(contract, 14) || there?.documents === true
    ? networkDocuments(links, nameservers, vip, listed, there)
    : machineNetworkPatch(links, nameservers, vip, listed, there);
}

/** The link for the virtual IP: the named one, or the only one. */
export function findVipLink(
  vip: LinkName,
  interfaces: readonly NetworkInterface[],
): NetworkInterface | undefined {
  const named = vip.interface !== undefined || vip.deviceSelector !== undefined;
  if (!named) return interfaces.length === 1 ? interfaces[0] : undefined;
  return interfaces.find((link) => isSameLink(link, vip));
}

/** An unlisted link keeps its DHCP addresses: Talos stops requesting them once a link is listed. */
function withVipLink(vip: VirtualIp, interfaces: readonly NetworkInterface[]): readonly NetworkInterface[] {
  if (findVipLink(vip, interfaces) !== undefined) return interfaces;
  const { interface: name, deviceSelector } = vip;
  return [...interfaces, { interface: name, deviceSelector, addresses: [], routes: [], dhcp: true }];
}

function isSameLink(a: LinkName, b: LinkName): boolean {
  if (a.interface !== undefined || b.interface !== undefined) return a.interface === b.interface;
  const text = (selector: DeviceSelector = {}): string => JSON.stringify(Object.entries(selector).sort());
  return text(a.deviceSelector) === text(b.deviceSelector);
}

function machineNetworkPatch(
  links: readonly NetworkInterface[],
  nameservers: readonly string[],
  vip: VirtualIp | undefined,
  listed: ReadonlySet<LinkName>,
  there: BaseLinks | undefined,
): string {
  const bearer = vip === undefined ? undefined : findVipLink(vip, links);
  const interfaces = links.map((link) => ({
    ...(link.interface === undefined ? {} : { interface: link.interface }),
    ...(link.deviceSelector === undefined ? {} : { deviceSelector: definedFields(link.deviceSelector) }),
    ...(link.mtu === undefined ? {} : { mtu: link.mtu }),
    ...dhcpSetting(link, listed, there),
    ...(link.addresses.length === 0 ? {} : { addresses: link.addresses }),
    ...(link.routes.length === 0
      ? {}
      : {
          routes: link.routes.map(({ network, ...route }) =>
            definedFields({
              network:
                network ??
                (there?.hasDefaultRoute(link, route.gateway) ? undefined : defaultDestination(route)),
              ...route,
            }),
          ),
        }),
    ...(link === bearer ? { vip: { ip: vip?.address } } : {}),
  }));
  const network = {
    ...(interfaces.length === 0 ? {} : { interfaces }),
    ...(nameservers.length === 0 ? {} : { nameservers }),
  };
  return stringify({ machine: { network } }, { lineWidth: 0, aliasDuplicateObjects: false });
}

/** An existing link keeps its setting; settings that don't mention DHCP mean off. */
function dhcpSetting(
  link: NetworkInterface,
  listed: ReadonlySet<LinkName>,
  there: BaseLinks | undefined,
): { dhcp?: boolean } {
  if (there?.has(link) !== true) return { dhcp: link.dhcp };
  return listed.has(link) && link.dhcp ? { dhcp: true } : {};
}

function networkDocuments(
  links: readonly NetworkInterface[],
  nameservers: readonly string[],
  vip: VirtualIp | undefined,
  listed: ReadonlySet<LinkName>,
  there: BaseLinks | undefined,
): string {
  const bearer = vip === undefined ? undefined : findVipLink(vip, links);
  const taken = new Set(there?.aliases);
  const documents = links.flatMap((link, index) => {
    const match = link.deviceSelector === undefined ? undefined : aliasExpression(link.deviceSelector);
    const alias = match === undefined ? undefined : there?.aliasOf(match);
    const name = link.interface ?? alias ?? freeAlias(index, taken);
    const kind = there?.kindOf(name);
    // A document for one link disables DHCP on all others, so a virtual IP adds none to a file.
    const wanted = there === undefined || listed.has(link);
    return [
      ...(match === undefined || alias !== undefined
        ? []
        : [{ kind: "LinkAliasConfig", name, selector: { match } }]),
      ...(wanted
        ? [
            {
              kind: kind ?? "LinkConfig",
              name,
              ...(kind === undefined ? { up: true } : {}),
              ...(link.mtu === undefined ? {} : { mtu: link.mtu }),
              ...(link.addresses.length === 0
                ? {}
                : { addresses: link.addresses.map((address) => ({ address })) }),
              ...(link.routes.length === 0
                ? {}
                : {
                    routes: link.routes.map(({ network, ...route }) =>
                      definedFields({ destination: network, ...route }),
                    ),
                  }),
            },
            ...(link.dhcp ? [{ kind: "DHCPv4Config", name }] : []),
          ]
        : []),
      ...(link === bearer && vip !== undefined
        ? [{ kind: "Layer2VIPConfig", name: vip.address, link: name }]
        : []),
    ];
  });
  const resolver =
    nameservers.length === 0
      ? []
      : [{ kind: "ResolverConfig", nameservers: nameservers.map((address) => ({ address })) }];
  return [...documents, ...resolver]
    .map((document) => stringify({ apiVersion: "v1alpha1", ...document }, { lineWidth: 0 }))
    .join("---\n");
}

/** A name for a link selected by its properties. It must not look like a kernel name. */
function freeAlias(index: number, taken: Set<string>): string {
  let number = index;
  while (taken.has(`link-${number}`)) number += 1;
  taken.add(`link-${number}`);
  return `link-${number}`;
}

/** The selector in LinkAliasConfig's expression language; every property must match, and may be a glob. */
function aliasExpression(selector: DeviceSelector): string {
  const value: Record<keyof DeviceSelector, string> = {
    busPath: "link.bus_path",
    hardwareAddr: "mac(link.hardware_addr)",
    permanentAddr: "mac(link.permanent_addr)",
    pciID: "link.pciid",
    driver: "link.driver",
  };
  return Object.entries(definedFields(selector) as Record<keyof DeviceSelector, string>)
    .map(([key, wanted]) => {
      const found = value[key as keyof DeviceSelector];
      return wanted.includes("*")
        ? `glob(${JSON.stringify(wanted)}, ${found})`
        : `${found} == ${JSON.stringify(wanted)}`;
    })
    .join(" && ");
}

/** The default route of the gateway's address family. */
function defaultDestination({ gateway }: { gateway: string }): string {
  return gateway.includes(":") ? "::/0" : "0.0.0.0/0";
}

function definedFields(fields: object): object {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}
