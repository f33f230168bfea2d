import { z } from "zod";
import { sectionSchema } from "../components/csi/fields.ts";
import { must } from "./messages.ts";

/** Schemas of a node's network. The names are those of Talos's `machine.network`. */

const ipSchema = (example: string) =>
  z
    .string(must(`an IP address such as ${example}`))
    .refine(isIp, must(`an IP address without a prefix, such as ${example}`));

export function isIp(text: string): boolean {
  return z.ipv4().safeParse(text).success || z.ipv6().safeParse(text).success;
}

function isPrefix(text: string): boolean {
  return z.cidrv4().safeParse(text).success || z.cidrv6().safeParse(text).success;
}

const linkNameSchema = z
  .string(must("a link's name such as enp1s0"))
  .regex(/^[A-Za-z0-9._-]{1,15}$/, must("a link's name such as enp1s0, at most 15 characters"));

const selectorText = "a string such as 00:1a:2b:*";
const selectorFieldSchema = (what: string) =>
  z.string(must(selectorText)).min(1, must(selectorText)).optional().describe(what);

const deviceSelectorSchema = sectionSchema({
  busPath: selectorFieldSchema("Bus path."),
  hardwareAddr: selectorFieldSchema("MAC address."),
  permanentAddr: selectorFieldSchema("Permanent MAC address."),
  pciID: selectorFieldSchema("PCI ID."),
  driver: selectorFieldSchema("Kernel driver."),
}).refine(
  (selector) => Object.values(selector).some((value) => value !== undefined),
  must("a mapping with at least one of busPath, hardwareAddr, permanentAddr, pciID and driver"),
);

const addressSchema = z
  .string(must("an address with a prefix, such as 10.0.0.11/24"))
  .refine(isPrefix, must("an address with a prefix, such as 10.0.0.11/24"));

const routeSchema = sectionSchema({
  network: z
    .string(must("a network such as 10.20.0.0/16"))
    .refine(isPrefix, must("a network such as 10.20.0.0/16"))
    .optional()
    .describe("Default: the default route."),
  gateway: ipSchema("10.0.0.1").describe("Gateway IP."),
  metric: z
    .int(must("a whole number from 1 to 65535"))
    .min(1, must("a whole number from 1 to 65535"))
    .max(65_535, must("a whole number from 1 to 65535"))
    .optional()
    .describe("Route metric. Default: 1024."),
});

const interfaceSchema = sectionSchema({
  interface: linkNameSchema.optional().describe("Link name, or use `deviceSelector`."),
  deviceSelector: deviceSelectorSchema.optional().describe("Select exactly one link."),
  addresses: z
    .array(addressSchema, must("a list of addresses with prefixes"))
    .default([])
    .describe("Addresses with prefixes."),
  routes: z.array(routeSchema, must("a list of routes")).default([]).describe("Static routes."),
  dhcp: z.boolean(must("true or false")).default(false).describe("Also use DHCP."),
  mtu: z
    .int(must("a whole number from 576 to 9216"))
    .min(576, must("a whole number from 576 to 9216"))
    .max(9216, must("a whole number from 576 to 9216"))
    .optional()
    .describe("MTU in bytes."),
});

/** `cluster.nodes[].network` */
export const networkSchema = sectionSchema({
  interfaces: z
    .array(interfaceSchema, must("a list of links"))
    .default([])
    .describe("Links with static addresses."),
  nameservers: z
    .array(ipSchema("10.0.0.1"), must("a list of IP addresses"))
    .default([])
    .describe("DNS servers, instead of DHCP's or Talos's."),
});

/** `cluster.vip` */
export const vipSchema = sectionSchema({
  address: ipSchema("10.0.0.10").describe("Unused address in the control planes' network."),
  interface: linkNameSchema.optional().describe("Its link. Default: the only listed one."),
  deviceSelector: deviceSelectorSchema.optional().describe("Select the link."),
});
