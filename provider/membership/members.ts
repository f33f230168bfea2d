import type { z } from "zod";
import { membershipSchema } from "../../talos/inputs/clusterMembership.ts";
import { withDefaults } from "../../talos/inputs/defaults.ts";
import { reach, type Endpoints } from "../../talos/endpoint.ts";
import { departures, knownMembers, membersOf, type Departure, type Member } from "../../talos/members.ts";
import type { Properties } from "../secrets.ts";
import { talosctlCommand } from "../talosctl.ts";

/** The inputs of a ClusterMembership as the steps use them: plain values, every default filled in. */
export interface MembershipInputs extends z.output<typeof membershipSchema> {
  nodes: Member[];
}

/** Inputs that `checkMembership` has passed, with the defaults. */
export function membershipInputs(checked: Properties): MembershipInputs {
  return { ...withDefaults(membershipSchema, checked), nodes: membersOf(checked["nodes"]) };
}

/** Members as inputs and states have them: by their names. */
export function membersByName(members: readonly Member[]): Record<string, Omit<Member, "name">> {
  return Object.fromEntries(members.map(({ name, ...member }) => [name, member]));
}

/** A node that leaves is reached as it was while it was listed, unless the settings say otherwise by now. */
export function withFormerEndpoints(inputs: MembershipInputs, state: Properties): MembershipInputs {
  const former = state["endpoints"] as Endpoints | undefined;
  const added = departures(knownMembers(state), inputs).flatMap(({ member: { node } }) => {
    const ways = reach(node, former);
    const isNeeded = inputs.endpoints?.[node] === undefined && ways.some((way) => way !== node);
    return isNeeded && (former?.[node] !== undefined || inputs.endpoints?.["*"] === undefined)
      ? [[node, ways] as const]
      : [];
  });
  return added.length === 0
    ? inputs
    : { ...inputs, endpoints: { ...Object.fromEntries(added), ...inputs.endpoints } };
}

/** `w3 (10.0.0.23)` */
export function memberLabel({ name, node }: Member): string {
  return name === node ? node : `${name} (${node})`;
}

/** What is left to do about a machine that is not touched, for people. */
export function keepNotice({ member, way }: Departure, staying: readonly Member[]): string {
  const label = memberLabel(member);
  if (way === "moved") {
    return `${label}: ${member.name} now has another address in the settings; the machine at ${member.node} is left as it is.`;
  }
  const through = staying.find(({ role }) => role === "controlplane")?.node ?? member.node;
  const also =
    member.role === "controlplane" ? " It remains a member of etcd, which stops the next rollout." : "";
  const dead =
    member.role === "controlplane"
      ? `; if the machine is gone for good, \`talosctl etcd remove-member <ID> --nodes ${through}\` with its ID from ${talosctlCommand("etcd members", through)}`
      : "";
  return (
    `${label} leaves the settings and is left as it is (onRemove: keep): it keeps running, and Kubernetes still knows it.${also} ` +
    `To remove it from the cluster: \`talosctl reset --nodes ${member.node} --graceful\`${dead}, then \`kubectl delete node ${member.name}\`.`
  );
}
