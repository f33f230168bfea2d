import { TalosError } from "../talos/api/errors.ts";
import { readStableFacts } from "./facts.ts";
import { nodeLabel, nodeUpgradeInputs } from "./inputs.ts";
import type { ReadAhead } from "./readAhead.ts";
import type { Properties } from "./secrets.ts";
import { Session, type Surroundings } from "./session.ts";
import { inputsOf, keptOutputs, observedInputs, observedOutputs } from "./state.ts";
import { unreadWarning } from "./unansweredHint.ts";

/**
 * A NodeUpgrade as a refresh finds it: what its node runs.
 * @param ahead what the refresh has read already
 */
export async function readNodeUpgrade(
  surroundings: Surroundings,
  urn: string,
  state: Properties,
  signal: AbortSignal,
  ahead: Pick<ReadAhead, "takeFacts">,
): Promise<{ inputs: Properties; props: Properties }> {
  const session = await Session.open(surroundings, urn, nodeUpgradeInputs(state), signal);
  const { talos, timeouts, progress, wanted } = session.context;
  try {
    const limits = { deadlineMs: timeouts.probeMs * 4, signal };
    const facts =
      (await ahead.takeFacts(session.connection, wanted)) ?? (await readStableFacts(talos, wanted, limits));
    const inputs = observedInputs(inputsOf(state), facts);
    const { timeline, takenSnapshot, postponed } = state;
    return {
      inputs,
      props: {
        ...inputs,
        ...observedOutputs(facts),
        ...keptOutputs(timeline, takenSnapshot),
        ...(postponed === undefined ? {} : { postponed }),
      },
    };
  } catch (error) {
    if (!(error instanceof TalosError)) throw error;
    // A node that is down is still a node: keep what is known about it.
    progress.warn(unreadWarning(nodeLabel(wanted), error.detail));
    return { inputs: inputsOf(state), props: state };
  } finally {
    session.close();
  }
}
