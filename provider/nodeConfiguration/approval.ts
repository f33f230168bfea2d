import { framed } from "../../talos/errorCodes.ts";
import type { Gate } from "../gate/gate.ts";
import { Refused } from "../gate/refused.ts";
import { nodeLabel } from "../inputs.ts";
import { ConfigurationError } from "./look.ts";

/** Checks that the approved plan includes this configuration change, before waiting or asking the node. */
export function requireConfigurationApproval(wanted: { name: string; node: string }, gate: Gate): void {
  try {
    gate.requireApproval("configuration");
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    throw new ConfigurationError(
      framed(`${nodeLabel(wanted)}: its configuration was not applied: `, error.problems, `. ${error.hint}`),
    );
  }
}
