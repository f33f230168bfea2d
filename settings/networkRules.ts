import { BlockList, isIPv6 } from "node:net";
import type { Problem } from "../components/csi/problems.ts";
import { findVipLink, type NetworkInterface, type VirtualIp } from "../talos/networkPatch.ts";
import { isIp, networkSchema, vipSchema } from "./network.ts";
import { givenNodes, type GivenSettings } from "./given.ts";

/** Checks addresses, links and the virtual IP across all nodes. */

interface NetworkNode {
  path: string;
  name: string;
  address: string;
  role: "controlplane" | "worker" | undefined;
  /** Undefined where the settings have none, or none that fit the schema. */
  interfaces: NetworkInterface[] | undefined;
}

/** Checks what is well formed; the schema reports the rest. */
export function checkNetwork(given: GivenSettings, problems: Problem[], warnings: Problem[]): void {
  const nodes = givenNodes(given).map(({ name = "", address = "", role, network }, index): NetworkNode => ({
    path: `cluster.nodes[${index}]`,
    name,
    address,
    role,
    interfaces: networkSchema.safeParse(network).data?.interfaces,
  }));
  for (const node of nodes) checkLinks(node, problems, warnings);
  checkAddresses(nodes, problems);
  const vip = vipSchema.safeParse(given.cluster?.vip).data;
  if (vip !== undefined) checkVip(vip, nodes, given.cluster?.endpoint, problems, warnings);
}

function checkLinks(
  { path, address, interfaces = [] }: NetworkNode,
  problems: Problem[],
  warnings: Problem[],
): void {
  const seen = new Map<string, number>();
  interfaces.forEach((link, index) => {
    const place = `${path}.network.interfaces[${index}]`;
    requireOneLink(link, place, problems);
    const name = link.interface ?? JSON.stringify(link.deviceSelector ?? {});
    const other = seen.get(name);
    if (other === undefined) seen.set(name, index);
    else
      problems.push({
        path: place,
        reason: `is the same link as network.interfaces[${other}]; list it once, with all its addresses`,
      });
    if (link.addresses.length === 0 && !link.dhcp) {
      problems.push({
        path: place,
        reason: "has neither addresses nor dhcp: true, so the link would have no address",
      });
    }
    for (const [position, { gateway, network }] of link.routes.entries()) {
      const route = `${place}.routes[${position}]`;
      if (network !== undefined && isIPv6(network.split("/")[0] ?? "") !== isIPv6(gateway)) {
        problems.push({
          path: route,
          reason: `has a gateway (${gateway}) of a different address family than its network (${network})`,
        });
      }
      const sameFamily = link.addresses.filter((own) => isIPv6(own.split("/")[0] ?? "") === isIPv6(gateway));
      const linkLocal = /^fe[89ab]/i.test(gateway);
      if (!linkLocal && !link.dhcp && !sameFamily.some((own) => containsIp(own, gateway))) {
        problems.push({
          path: `${route}.gateway`,
          reason: `is ${gateway}, which is outside the networks of the link's addresses (${link.addresses.join(", ") || "none"})`,
        });
      }
    }
  });
  const fixed = interfaces.flatMap(({ addresses }) => addresses.map(hostOf));
  const all = interfaces.length > 0 && interfaces.every(({ dhcp }) => !dhcp);
  if (all && isIp(address) && fixed.length > 0 && !fixed.some((own) => sameIp(own, address))) {
    const what = `have ${fixed.join(", ")}, but not ${address}, the node's own address`;
    const place = `${path}.network.interfaces`;
    if (interfaces.some(({ addresses }) => addresses.some((own) => containsIp(own, address)))) {
      problems.push({
        path: place,
        reason: `${what}: the node would be unreachable with this configuration`,
      });
    } else {
      // Behind NAT or a VPN, a node is reached at an address that none of its links has.
      warnings.push({
        path: place,
        reason: `${what}: make sure that ${address} still reaches the node with this configuration, through NAT or a VPN`,
      });
    }
  }
}

function requireOneLink(
  link: { interface?: string | undefined; deviceSelector?: object | undefined },
  path: string,
  problems: Problem[],
): void {
  if (link.interface !== undefined && link.deviceSelector !== undefined)
    problems.push({ path, reason: "has both interface and deviceSelector; set only one of them" });
  if (link.interface === undefined && link.deviceSelector === undefined)
    problems.push({ path, reason: "names no link: set interface, such as enp1s0, or deviceSelector" });
}

/** No static address may appear twice or be another node's address. */
function checkAddresses(nodes: NetworkNode[], problems: Problem[]): void {
  const owners = nodes.flatMap(({ address, path }) => (isIp(address) ? [{ ip: address, path }] : []));
  for (const { path, interfaces = [] } of nodes) {
    interfaces.forEach(({ addresses }, link) => {
      addresses.forEach((address, position) => {
        const ip = hostOf(address);
        const other = owners.find((owner) => owner.path !== path && sameIp(owner.ip, ip));
        if (other !== undefined) {
          problems.push({
            path: `${path}.network.interfaces[${link}].addresses[${position}]`,
            reason: `is ${address}, which is also an address of ${other.path}; an address can belong to only one node`,
          });
        }
        owners.push({ ip, path });
      });
    });
  }
}

function checkVip(
  vip: VirtualIp,
  nodes: NetworkNode[],
  endpoint: string | undefined,
  problems: Problem[],
  warnings: Problem[],
): void {
  const path = "cluster.vip";
  const say = (reason: string, where = path): void => void problems.push({ path: where, reason });
  if (vip.interface !== undefined && vip.deviceSelector !== undefined)
    say("has both interface and deviceSelector; set only one of them");
  for (const node of nodes) {
    const fixed = (node.interfaces ?? []).flatMap(({ addresses }) => addresses.map(hostOf));
    if ([node.address, ...fixed].some((own) => isIp(own) && sameIp(own, vip.address))) {
      say(
        `is ${vip.address}, an address of ${node.path}; a virtual IP moves between the control planes and cannot be a node's own address`,
        `${path}.address`,
      );
    }
  }
  const named = vip.interface !== undefined || vip.deviceSelector !== undefined;
  for (const { path: node, role, interfaces = [] } of nodes) {
    if (role !== "controlplane") continue;
    const link = findVipLink(vip, interfaces);
    if (link === undefined && interfaces.length > 0) {
      say(
        named
          ? `is on a link that ${node}.network.interfaces does not list; list it there with the same selector`
          : `names no link, but ${node} lists ${interfaces.length}; set interface or deviceSelector`,
      );
    } else if (link === undefined && !named) {
      say(`names no link, and ${node} lists none; set interface, such as enp1s0, or deviceSelector`);
    } else if (
      link !== undefined &&
      !link.dhcp &&
      !link.addresses.some((own) => containsIp(own, vip.address))
    ) {
      say(
        `is ${vip.address}, which is outside the networks of that link's addresses on ${node} (${link.addresses.join(", ")})`,
        `${path}.address`,
      );
    }
  }
  const host = endpoint !== undefined ? URL.parse(endpoint)?.hostname.replace(/^\[|\]$/g, "") : undefined;
  if (host !== undefined && isIp(host) && !sameIp(host, vip.address)) {
    warnings.push({
      path: "cluster.endpoint",
      reason: `is at ${host}, but cluster.vip is ${vip.address}; the virtual IP is unused unless it is the endpoint`,
    });
  }
}

function hostOf(address: string): string {
  return address.split("/")[0] ?? address;
}

/** `fd00::1` and `fd00:0::1` are the same address. */
function sameIp(a: string, b: string): boolean {
  if (!isIp(a) || !isIp(b) || isIPv6(a) !== isIPv6(b)) return false;
  return containsIp(`${a}/${isIPv6(a) ? 128 : 32}`, b);
}

function containsIp(network: string, ip: string): boolean {
  const [base = "", prefix = "0"] = network.split("/");
  if (isIPv6(base) !== isIPv6(ip)) return false;
  const list = new BlockList();
  const family = isIPv6(base) ? "ipv6" : "ipv4";
  list.addSubnet(base, Number(prefix), family);
  return list.check(ip, family);
}
