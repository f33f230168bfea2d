import { TalosError } from "../../talos/api/errors.ts";
import { coded, framed } from "../../talos/errorCodes.ts";
import { formatDuration } from "../clock.ts";
import { UpgradeError } from "../errors.ts";
import { NotRecovered, type Refused } from "../gate/refused.ts";
import { ConfigurationError } from "./look.ts";

/** The node has its configuration, but the cluster is not healthy afterwards. */
export function failedAfterApply(label: string, error: unknown): Error {
  const [seen, hint] = error instanceof Error ? [seenOf(error), hintOf(error)] : [String(error), ""];
  return new ConfigurationError(
    coded(
      "config-after-apply",
      `${label}: its configuration was applied; then this failed: ${seen}`,
      `${hint}Run \`pulumi up\` again: it is not applied twice.`,
    ),
    { cause: error },
  );
}

export function refusedAfter(label: string, refused: Refused, waitedMs: number): ConfigurationError {
  const hint = refused.hint.replace(/,? then run `pulumi up` again\.$/, ".");
  return new ConfigurationError(
    framed(
      `${label}: its configuration was not applied (waited ${formatDuration(waitedMs)}): `,
      refused.problems,
      `. ${hint} Then run \`pulumi up\` again: it continues from here.`,
    ),
  );
}

export function notApplied(label: string, error: unknown): Error {
  if (error instanceof NotRecovered) {
    return new ConfigurationError(
      framed(
        `${label}: its configuration was applied; the control plane has `,
        error.text,
        `. ${error.hint} Then run \`pulumi up\` again: it continues from here.`,
      ),
    );
  }
  if (!(error instanceof TalosError) || error.kind === "cancelled")
    return error instanceof Error ? error : new Error(String(error));
  return new ConfigurationError(
    coded(
      "config-rejected",
      `${label}: its configuration could not be applied: ${error.call}: ${error.detail}`,
      "Fix the cause, then run `pulumi up` again: it reads the node's configuration first.",
    ),
    { cause: error },
  );
}

/** The message without the node and the upgrade step. */
function seenOf(error: Error): string {
  return error instanceof UpgradeError ? error.seen : error.message;
}

function hintOf(error: Error): string {
  return "hint" in error && typeof error.hint === "string" ? `${error.hint} ` : "";
}
