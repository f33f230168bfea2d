import type { Endpoints } from "./endpoint.ts";

/** A node of a rollout, and its desired image. */
export interface RolloutMember {
  name: string;
  /** Address of its Talos API. */
  node: string;
  /** Default: that of the node whose upgrade lists it. */
  talosVersion?: string;
  /** Default: that of the node whose upgrade lists it. */
  schematicId?: string;
}

/**
 * Many nodes as one text: `w1 10.0.0.21, gpu1 10.0.0.31 v1.13.9 376567988ad3…`. Every node of a rollout lists its group, so as objects 500 nodes were 250,000
 * objects in the program, the engine and the state.
 * @param own the image of the node that lists them: omitted for nodes with the same image
 */
export function formatMembers(
  members: readonly RolloutMember[],
  own: { talosVersion: string; schematicId: string },
): string {
  return members
    .map(({ name, node, talosVersion = own.talosVersion, schematicId = own.schematicId }) => {
      const isSame = talosVersion === own.talosVersion && schematicId === own.schematicId;
      return [name, node, ...(isSame ? [] : [talosVersion, schematicId])].join(" ");
    })
    .join(", ");
}

/** Parses such a text. */
export function parseMembers(text: string): RolloutMember[] {
  return parseNames(text).map((entry) => {
    const [name = "", node = "", talosVersion, schematicId] = entry.split(" ");
    return {
      name,
      node,
      ...(talosVersion === undefined ? {} : { talosVersion }),
      ...(schematicId === undefined ? {} : { schematicId }),
    };
  });
}

/**
 * The endpoints that apply only to these nodes: `10.0.0.21 gateway:50021`. Empty if there are none.
 * @param addresses of the nodes
 */
export function formatEndpoints(endpoints: Endpoints | undefined, addresses: readonly string[]): string {
  return addresses
    .flatMap((address) => {
      const ways = endpoints?.[address] ?? [];
      return ways.length === 0 ? [] : [[address, ...ways].join(" ")];
    })
    .join(", ");
}

/** Parses such a text. */
export function parseEndpoints(text: string): Endpoints {
  return Object.fromEntries(
    parseNames(text).map((entry) => {
      const [address = "", ...ways] = entry.split(" ");
      return [address, ways];
    }),
  );
}

/** Names as one text, and back. */
export function formatNames(names: readonly string[]): string {
  return names.join(", ");
}

/** Splits a text written by `formatNames` or `formatMembers`. */
export function parseNames(text: string): string[] {
  return text === "" ? [] : text.split(", ");
}
