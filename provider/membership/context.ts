import type { CodedText } from "../../talos/errorCodes.ts";
import type { UpgradeContext } from "../context.ts";
import { endSentence } from "../errors.ts";
import { silentProgress, type Progress } from "../progress.ts";
import { formatDuration } from "../clock.ts";
import { Session, type Surroundings } from "../session.ts";
import type { Member } from "../../talos/members.ts";
import { memberLabel, type MembershipInputs } from "./members.ts";
import { openPolicy } from "../../talos/inputs/rolloutPolicy.ts";

/** The steps of a removal, in order. Progress lines and errors use these names. */
export const removalSteps = ["look", "guard", "drain", "reset", "wait", "forget"] as const;
export type RemovalStep = (typeof removalSteps)[number];

/** Why a node is still in the cluster: one user-facing error for any underlying failure. */
export class RemovalError extends Error {
  override readonly name = "RemovalError";
  readonly member: Member;
  readonly step: RemovalStep;
  readonly seen: CodedText;
  readonly hint: string;

  constructor(member: Member, step: RemovalStep, seen: CodedText, hint: string) {
    super(`${memberLabel(member)}, removal, step "${step}": ${endSentence(seen)} ${hint}`);
    this.member = member;
    this.step = step;
    this.seen = seen;
    this.hint = hint;
  }
}

/** Everything a removal step may use. */
export interface RemovalContext {
  readonly member: Member;
  readonly inputs: MembershipInputs;
  /** The remaining nodes. */
  readonly staying: readonly Member[];
  /** Connections, clock and timeouts, in the form that upgrade steps take. */
  readonly node: UpgradeContext;
  step(name: RemovalStep): void;
  /** Records in the state that the machine was asked to reset, whatever comes after that. */
  noteReset(): void;
}

/** Opens the connections for one removal. The caller closes them. */
export async function openRemoval(
  surroundings: Surroundings,
  urn: string,
  member: Member,
  inputs: MembershipInputs,
  signal: AbortSignal,
): Promise<{ context: RemovalContext; close: () => void; wasReset: () => boolean }> {
  const controlPlanes = inputs.nodes.filter(({ role }) => role === "controlplane").map(({ node }) => node);
  const session = await Session.open(
    surroundings,
    urn,
    {
      ...{ name: member.name, node: member.node, role: member.role, controlPlanes },
      ...{ clientConfiguration: inputs.clientConfiguration, drain: inputs.drain },
      ...(inputs.kubeconfig === undefined ? {} : { kubeconfig: inputs.kubeconfig }),
      ...(inputs.endpoints === undefined ? {} : { endpoints: inputs.endpoints }),
      ...(inputs.approval === undefined ? {} : { approval: inputs.approval }),
      timeoutSeconds: inputs.timeoutSeconds,
      // Only needed by upgrades.
      ...{ talosVersion: "", schematicId: "", image: "", extensions: [], services: [], files: [] },
      ...{ prePull: false, allowSkew: false, etcdDowngrade: false, rollout: openPolicy },
      storageGate: { enabled: false, timeoutSeconds: 1 },
    },
    signal,
  );
  const begun = surroundings.clock.now();
  const sink = surroundings.statusOf(urn);
  let current = "";
  const show = (detail = ""): void => {
    const took = formatDuration(surroundings.clock.now() - begun);
    sink.status(`${member.name}: ${current} · ${took}${detail === "" ? "" : ` · ${detail}`}`);
  };
  const step = (name: RemovalStep): void => {
    current = `[${removalSteps.indexOf(name) + 1}/${removalSteps.length}] ${name}`;
    show();
  };
  const progress: Progress = {
    ...silentProgress,
    detail: show,
    info: (text) => sink.info(`${memberLabel(member)}: ${text}`),
    warn: (text) => sink.warn(`${memberLabel(member)}: ${text}`),
  };
  const node: UpgradeContext = { ...session.context, progress };
  let wasReset = member.wasReset === true;
  const noteReset = (): void => void (wasReset = true);
  return {
    context: { member, inputs, staying: inputs.nodes, node, step, noteReset },
    close: () => session.close(),
    wasReset: () => wasReset,
  };
}
