import { coded } from "../../talos/errorCodes.ts";
import type { Surroundings } from "../session.ts";
import { joinHints, joinProblems } from "../guards/finding.ts";
import type { Properties } from "../secrets.ts";
import { Cancelled } from "../errors.ts";
import { openRemoval, RemovalError, type RemovalContext } from "./context.ts";
import { readEtcdReport, findMachine } from "./look.ts";
import { departures, knownMembers, type Departure, type Member } from "../../talos/members.ts";
import {
  keepNotice,
  memberLabel,
  membershipInputs,
  withFormerEndpoints,
  type MembershipInputs,
} from "./members.ts";
import { etcdFindings, refuseOtherNode, removeNode } from "./removal.ts";
import { volumesAtRisk } from "../storage/awaitDetached.ts";

/** Some nodes could not be removed; `members` lists the nodes still to manage. */
export class MembershipError extends Error {
  override readonly name = "MembershipError";
  readonly members: Member[];

  constructor(message: string, members: Member[]) {
    super(message);
    this.members = members;
  }
}

/** A removal that is refused, regardless of the rest. */
export class RemovalRefused extends Error {
  override readonly name = "RemovalRefused";
}

/** Nodes that this change would remove, or that an earlier one left behind. */
export function pendingDepartures(state: Properties, news: Properties): Departure[] {
  return departures(knownMembers(state), membershipInputs(news));
}

/**
 * Shows in a preview which nodes leave and what happens to their machines, and refuses what would be refused later.
 * @throws RemovalRefused with every reason
 */
export async function previewDepartures(
  surroundings: Surroundings,
  urn: string,
  state: Properties,
  news: Properties,
  signal: AbortSignal,
): Promise<void> {
  const inputs = withFormerEndpoints(membershipInputs(news), state);
  const leaving = pendingDepartures(state, news);
  const begun = new Set(
    pendingDepartures(state, { ...news, nodes: state["nodes"] }).map(({ member }) => member.node),
  );
  const sink = surroundings.statusOf(urn);
  const problems = unsafeRemovals(leaving, inputs);
  const isRash = problems.length > 0;
  for (const departure of leaving) {
    if (departure.way !== "reset") {
      sink.warn(keepNotice(departure, inputs.nodes));
      continue;
    }
    // Refused regardless of the machines' state.
    if (isRash && departure.member.role === "controlplane") continue;
    const { context, close } = await openRemoval(surroundings, urn, departure.member, inputs, signal);
    try {
      const { problem, note } = await previewRemoval(context);
      if (problem === undefined || begun.has(departure.member.node)) {
        sink.warn(`${removalNotice(departure, inputs.drain.enabled)}${note === undefined ? "" : ` ${note}`}`);
      } else problems.push(problem);
    } finally {
      close();
    }
  }
  if (problems.length > 0) throw new RemovalRefused(problems.join("\n"));
}

function removalNotice({ member }: Departure, drained: boolean): string {
  const etcd = member.role === "controlplane" ? "leaves etcd, " : "";
  return `${memberLabel(member)} leaves the settings, and its machine is reset (onRemove: reset): it ${drained ? "is drained, " : ""}${etcd}loses its configuration and its data, and boots into maintenance mode.`;
}

/** What blocks the removal right now. */
async function previewRemoval(context: RemovalContext): Promise<{ problem?: string; note?: string }> {
  const { member, node } = context;
  try {
    const found = await findMachine(context, node.timeouts.guardMs);
    if (found.is === "reset") return {};
    refuseOtherNode(context, found);
    const risk = node.wanted.drain.enabled ? undefined : await volumesAtRisk(node.storage);
    const volumes = risk === undefined ? {} : { note: `It is not drained and ${risk}.` };
    if (member.role !== "controlplane") return volumes;
    const findings = await etcdFindings(context, found.etcdMember);
    if (findings.length === 0) return volumes;
    const problem = joinProblems(findings);
    const hint = joinHints(findings);
    return { problem: new RemovalError(member, "guard", problem, hint).message };
  } catch (error) {
    if (!(error instanceof RemovalError)) throw error;
    // If no cluster node can be reached from here, a preview can't judge anything.
    if ((await readEtcdReport(context, undefined)) === undefined) {
      return {
        note: "No control plane answers from here, so only `pulumi up` can check whether it can leave.",
      };
    }
    return { problem: error.message };
  }
}

/** Removals that are never done, regardless of the machines' state. */
function unsafeRemovals(leaving: readonly Departure[], inputs: MembershipInputs): string[] {
  const controlPlanes = leaving.filter(
    ({ member, way }) => way === "reset" && member.role === "controlplane",
  );
  const names = controlPlanes.map(({ member }) => memberLabel(member)).join(", ");
  if (controlPlanes.length > 0 && !inputs.nodes.some(({ role }) => role === "controlplane")) {
    return [
      coded(
        "last-control-plane",
        `${names}: this would remove the last control plane`,
        "To end a stack, use `pulumi destroy`; it leaves the machines as they are.",
      ),
    ];
  }
  if (controlPlanes.length > 1) {
    return [
      coded(
        "control-planes-one-at-a-time",
        `${names}: control planes leave one at a time, each in its own \`pulumi up\`, so that etcd keeps its majority`,
        "Put all but one back into the settings.",
      ),
    ];
  }
  return [];
}

/**
 * Brings the cluster in line with the settings: a node that is no longer listed leaves as its `onRemove` says. Control planes go first: to a leaving worker,
 * one would look like an etcd member on no known control plane. A failed node stops the ones after it.
 * @returns the current members
 * @throws MembershipError with the nodes still to be removed
 */
export async function changeMembership(
  surroundings: Surroundings,
  urn: string,
  state: Properties,
  news: Properties,
  signal: AbortSignal,
): Promise<Member[]> {
  const inputs = withFormerEndpoints(membershipInputs(news), state);
  const leaving = departures(knownMembers(state), inputs);
  const rash = unsafeRemovals(leaving, inputs);
  if (rash.length > 0) throw new RemovalRefused(rash.join("\n"));
  const sink = surroundings.statusOf(urn);
  const [machines, others] = [
    leaving.filter(({ way }) => way === "reset"),
    leaving.filter(({ way }) => way !== "reset"),
  ];
  machines.sort(
    (a, b) => Number(b.member.role === "controlplane") - Number(a.member.role === "controlplane"),
  );
  for (const [index, { member }] of machines.entries()) {
    const { context, close, wasReset } = await openRemoval(surroundings, urn, member, inputs, signal);
    try {
      await removeNode(context);
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      const message =
        error instanceof Cancelled ? `${memberLabel(member)}, removal: cancelled` : error.message;
      const current = wasReset() ? { ...member, wasReset: true } : member;
      const left = [...machines.slice(index + 1), ...others].map((departure) => departure.member);
      throw new MembershipError(message, [...inputs.nodes, current, ...left]);
    } finally {
      close();
    }
  }
  for (const departure of others) sink.warn(keepNotice(departure, inputs.nodes));
  return inputs.nodes;
}
