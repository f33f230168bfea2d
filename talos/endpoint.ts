/** apid's port on every node. */
export const apidPort = 50000;

/** Splits `host`, `host:port`, `[v6]`, `[v6]:port` or a bare IPv6 address. */
export function splitEndpoint(endpoint: string): { host: string; port: number } {
  const bracketed = /^\[([^\]]+)\](?::(\d+))?$/.exec(endpoint);
  const plain = /^([^:]+)(?::(\d+))?$/.exec(endpoint);
  const match = bracketed ?? plain;
  if (match === null) return { host: endpoint, port: apidPort };
  return { host: match[1] ?? endpoint, port: match[2] === undefined ? apidPort : Number(match[2]) };
}

/**
 * Whether an endpoint is the node itself. All others forward: what is observed there (a certificate, a machine in maintenance mode, silence) says nothing about
 * the node.
 */
export function isItself(endpoint: string, node: string): boolean {
  return normalizeHost(splitEndpoint(endpoint).host) === normalizeHost(node);
}

/** One text for all notations of the same host: `CP1` and `cp1`, `fd00::1` and `fd00:0:0:0:0:0:0:1`. */
export function normalizeHost(host: string): string {
  return URL.parse(`http://[${host}]`)?.hostname ?? host.toLowerCase();
}

/**
 * Endpoints of Talos APIs that differ from the node's own address and port 50000: lists of `host` or `host:port` by node address. `*` applies to every other
 * node.
 */
export type Endpoints = Readonly<Record<string, readonly string[]>>;

type Way = [address: string, endpoints: string[]];

const wildcard = "*";

/** A node's endpoints, the node itself first: it knows best. */
export function reach(address: string, endpoints: Endpoints | undefined): readonly string[] {
  const list = endpoints?.[address] ?? endpoints?.[wildcard] ?? [];
  if (list.length === 0) return [address];
  return [
    ...list.filter((endpoint) => isItself(endpoint, address)),
    ...list.filter((endpoint) => !isItself(endpoint, address)),
  ];
}

/** The settings' endpoints by address; undefined if every node is reached at its own. */
export function endpointsByAddress(
  nodes: readonly { address: string; endpoint?: string | undefined }[],
  forAll: readonly string[] = [],
): Endpoints | undefined {
  const own = nodes.flatMap(({ address, endpoint }): Way[] =>
    endpoint === undefined ? [] : [[address, [withoutBrackets(endpoint)]]],
  );
  const all: Way[] = forAll.length === 0 ? own : [[wildcard, forAll.map(withoutBrackets)], ...own];
  return all.length === 0 ? undefined : Object.fromEntries(all);
}

/** Talos's client treats brackets as part of the address unless a port follows (pkg/machinery/client/resolver). */
function withoutBrackets(endpoint: string): string {
  return endpoint.replace(/^\[([^\]]+)\]$/, "$1");
}

/** The endpoints that these nodes need, so that another node's endpoint doesn't change theirs. */
export function endpointsFor(
  endpoints: Endpoints | undefined,
  addresses: readonly string[],
): Endpoints | undefined {
  if (endpoints === undefined) return undefined;
  const needed = Object.entries(endpoints).filter(([key]) => key === wildcard || addresses.includes(key));
  return needed.length === 0 ? undefined : Object.fromEntries(needed);
}
