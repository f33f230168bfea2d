import { normalizeHost } from "./endpoint.ts";
import { nodesByName } from "./nodesByName.ts";

/** What happens to the machine of a node that is removed from the settings. */
export type OnRemove = "keep" | "reset";

/** A node of the cluster, as needed for its removal. */
export interface Member {
  name: string;
  /** Address of its Talos API. */
  node: string;
  role: "controlplane" | "worker";
  /** Absent: the cluster's setting. */
  onRemove?: OnRemove;
  /** Only in the state: its machine was reset by a removal that failed later, and only has to be forgotten. */
  wasReset?: boolean;
}

/** A node that is in the state but no longer in the settings. */
export interface Departure {
  member: Member;
  /** `moved`: the same name is still listed, with another address. */
  way: OnRemove | "moved";
}

/** The members in the state: after a failed removal, more than the settings list. */
export function knownMembers(state: Readonly<Record<string, unknown>>): Member[] {
  return membersOf(state["members"] ?? state["nodes"]);
}

/** Members as listed in inputs or states. */
export function membersOf(nodes: unknown): Member[] {
  return nodesByName(nodes).map(([, node]) => node as unknown as Member);
}

/**
 * The leaving nodes. A node counts as gone only if neither its name nor its address is listed any more: a machine with a new name, or with a DNS name instead
 * of its address, is still the same machine and must not be wiped.
 */
export function departures(
  before: readonly Member[],
  inputs: { readonly nodes: readonly Member[]; readonly onRemove: OnRemove },
): Departure[] {
  const addresses = new Set(inputs.nodes.map(({ node }) => normalizeHost(node)));
  const names = new Set(inputs.nodes.map(({ name }) => name));
  return before.flatMap((member): Departure[] => {
    if (addresses.has(normalizeHost(member.node))) return [];
    if (names.has(member.name)) return [{ member, way: "moved" }];
    return [{ member, way: member.onRemove ?? inputs.onRemove }];
  });
}
