import type { NodeUpgradeInputs } from "../../talos/inputs/nodeUpgrade.ts";
import { coded, type ErrorCode } from "../../talos/errorCodes.ts";
import { TalosError } from "../../talos/api/errors.ts";
import { stepError, pollUntil, type UpgradeContext } from "../context.ts";
import { reach } from "../../talos/endpoint.ts";
import type { UpgradeError } from "../errors.ts";
import { talosctlCommand } from "../talosctl.ts";
import { hintForUnanswered } from "../unansweredHint.ts";
import { describeMachine, runsWantedImage, readFacts, type NodeFacts } from "../facts.ts";

/**
 * Step `inspect`: version, schematic, extensions, services, machine stage, boot ID. Waits for a node in the middle of a boot or an upgrade started by someone
 * else or an earlier run, and reads it afterwards.
 */
export async function inspect(context: UpgradeContext): Promise<NodeFacts> {
  const { talos, clock, timeouts, progress } = context;
  const begun = clock.now();
  let last: NodeFacts | TalosError | undefined;
  let undecidedSince: number | undefined;
  const facts = await pollUntil(context, context.timer.end, async () => {
    try {
      last = await readFacts(talos, context.wanted, {
        deadlineMs: timeouts.probeMs * 2,
        signal: context.signal,
      });
      if (last.machine.stage !== "running") progress.detail(`the machine is ${last.machine.stage}`);
      else if (!isImageUnreported(last, context.wanted)) return last;
      else {
        undecidedSince ??= clock.now();
        if (clock.now() - undecidedSince >= timeouts.settleMs) return last;
        progress.detail("waiting for the node to report its schematic");
      }
    } catch (error) {
      if (!(error instanceof TalosError)) throw error;
      last = error;
      if (error.kind === "timeout") talos.reconnect();
      const waited = clock.now() - begun;
      if (waited > timeouts.certificateMs) last = await diagnoseRefusal(error, context);
      if (waited > answerTimeoutMs(last, context)) throw unreachableError(last, context);
      if (error.kind !== "cancelled") progress.detail(`no answer yet: ${last.detail}`);
    }
    return undefined;
  });
  if (facts !== undefined) return facts;
  if (last instanceof TalosError) throw unreachableError(await diagnoseRefusal(last, context), context);
  throw stepError(
    context,
    "inspect",
    coded(
      "machine-not-ready",
      `the machine is ${last === undefined ? "unknown" : describeMachine(last.machine)}`,
    ),
    `It must be running before it can be upgraded: check its console or ${talosctlCommand("dmesg", context.wanted.node)}, then run \`pulumi up\` again.`,
  );
}

/** The release is the desired one and the rest of the image isn't reported yet: shortly after a boot that says nothing. */
function isImageUnreported(facts: NodeFacts, wanted: NodeUpgradeInputs): boolean {
  return (
    facts.version === wanted.talosVersion &&
    facts.schematicId === undefined &&
    !runsWantedImage(facts, wanted)
  );
}

/** A node that rejects the client certificate first looks unreachable. */
export async function diagnoseRefusal(
  error: TalosError,
  { talos }: Pick<UpgradeContext, "talos">,
): Promise<TalosError> {
  if (error.kind !== "unreachable") return error;
  const reason = await talos.diagnose();
  return reason === undefined ? error : new TalosError("certificate", error.node, error.call, reason);
}

function answerTimeoutMs(error: TalosError, { timeouts }: UpgradeContext): number {
  if (error.kind === "denied") return 0;
  return error.kind === "certificate" ? timeouts.certificateMs : timeouts.contactMs;
}

/** Why a node could not be reached, and what to do about it. */
export function unreachableError(error: TalosError, context: UpgradeContext): UpgradeError {
  const { node, endpoint, endpoints } = context.wanted;
  const ways = endpoint === undefined ? reach(node, endpoints) : [endpoint];
  const where = ways.length === 1 && ways[0] === node ? node : `${node} (through ${ways.join(", ")})`;
  const known: Partial<Record<TalosError["kind"], { code: ErrorCode; hint: string }>> = {
    certificate: { code: "node-certificate", hint: hintForUnanswered(error.detail) },
    denied: { code: "node-access-denied", hint: "The client certificate needs the role os:admin." },
  };
  const { code, hint } = known[error.kind] ?? {
    code: "node-unreachable",
    hint: `Check that the node is on and that this machine can reach ${ways[0] === node ? `port 50000 of ${node}` : `the Talos API at ${ways.join(" or ")}`}.`,
  };
  return stepError(
    context,
    "inspect",
    coded(code, `the Talos API at ${where} cannot be used: ${error.detail}`),
    hint,
  );
}

/** Without waiting; undefined if the node doesn't answer. */
export async function readFactsOnce({
  talos,
  wanted,
  timeouts,
  signal,
}: UpgradeContext): Promise<NodeFacts | undefined> {
  try {
    return await readFacts(talos, wanted, { deadlineMs: timeouts.probeMs * 2, signal });
  } catch (error) {
    if (error instanceof TalosError && error.kind !== "cancelled") return undefined;
    throw error;
  }
}
