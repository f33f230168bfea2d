import { z } from "zod";

/** Hosts and URLs. */

/** Scheme, host and an optional port, nothing else: no user, path or query. */
export function isUrl(text: string, schemes: string[]): boolean {
  const match = /^([a-z]+):\/\/(?:\[([^\]]+)\]|([^:[\]]+?))(?::(\d{1,5}))?\/?$/i.exec(text);
  if (match === null) return false;
  const [, scheme = "", ipv6, host, port] = match;
  return (
    schemes.includes(scheme.toLowerCase()) &&
    (ipv6 === undefined ? isHost(host ?? "") : z.ipv6().safeParse(ipv6).success) &&
    (port === undefined || (Number(port) > 0 && Number(port) < 65_536))
  );
}

export const hostPattern =
  /^(?=.{1,253}$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$/i;

/** An IPv4 or IPv6 address or a DNS name. Something that looks like an IPv4 address has to be one. */
export function isHost(text: string): boolean {
  if (/^[\d.]+$/.test(text)) return z.ipv4().safeParse(text).success;
  return z.ipv6().safeParse(text).success || hostPattern.test(text);
}
