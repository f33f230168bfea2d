import type { z } from "zod";
import { membershipSchema } from "../../talos/inputs/clusterMembership.ts";
import { withDefaults } from "../../talos/inputs/defaults.ts";
import { reach, type Endpoints } from "../../talos/endpoint.ts";
import { departures, knownMembers, membersOf, type Departure, type Member } from "../../talos/members.ts";
import type { Properties } from "../secrets.ts";
import { talosctlCommand } from "../talosctl.ts";

/** The inputs of a ClusterMembership as the steps use them: plain values with all defaults. */
export interface MembershipInputs extends z.output<typeof membershipSchema> {
  nodes: Member[];
}

/** Inputs that passed `checkMembership`, with defaults. */
export function membershipInputs(checked: Properties): MembershipInputs {
  return { ...withDefaults(membershipSchema, checked), nodes: membersOf(checked["nodes"]) };
}

/** Members by name, as in inputs and states. */
export function membersByName(members: readonly Member[]): Record<string, Omit<Member, "name">> {
  return Object.fromEntries(members.map(({ name, ...member }) => [name, member]));
}

/** A leaving node is reached by its last known endpoints, unless the settings now name others. */
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

/** What operators still have to do about a machine that is left alone. */
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
