import { TalosError } from "../talos/api/errors.ts";
import { NodeMoved, UpgradeError } from "./errors.ts";
import { describeImage, isSettled, readFacts, type NodeFacts } from "./facts.ts";
import type { NodeUpgradeInputs } from "./inputs.ts";
import { strangersCertificate } from "./maintenance.ts";
import { adviceFor, preflightNodes } from "./preflight.ts";
import { silentProgress } from "./progress.ts";
import { hasUnknown, type Properties } from "./secrets.ts";
import { Session, type Surroundings } from "./session.ts";
import { guard } from "./steps/guard.ts";
import { noContact } from "./steps/inspect.ts";

/** What a rollout would do, as it stands now. */
export interface RolloutPlan {
  /** A line a node, in their order: `cp1: v1.12.7 with no schematic -> v1.13.9 with schematic c9078f941996…, one reboot`. */
  lines: string[];
  /** What a reviewer has to know: what would stop the rollout as things are, and what is known of the way. */
  warnings: string[];
}

/**
 * Looks at every node for a preview, once and without waiting for anything: what runs there, and what stands against an upgrade now.
 * Undefined while that cannot be asked, since credentials or images are not known before the deployment.
 */
export async function planRollout(
  surroundings: Surroundings,
  urn: string,
  inputs: Properties,
  signal: AbortSignal,
): Promise<RolloutPlan | undefined> {
  const { kubeconfig, ...needed } = inputs;
  if (hasUnknown(needed)) return undefined;
  const known = hasUnknown(kubeconfig) ? needed : inputs;
  const impatient = { ...surroundings, patience: { ...surroundings.patience, guardMs: 0 } };
  const looks = await Promise.all(preflightNodes(known).map((node) => lookAt(impatient, urn, node, signal)));
  const due = looks.flatMap(({ wanted, facts }) =>
    facts === undefined || isSettled(facts, wanted) ? [] : [{ context: { wanted }, facts }],
  );
  return {
    lines: looks.map(({ line }) => line),
    warnings: [
      ...looks.flatMap(({ obstacle }) =>
        obstacle === undefined ? [] : [`as things are, the rollout would not begin: ${obstacle}`],
      ),
      ...adviceFor(due),
    ],
  };
}

interface Look {
  wanted: NodeUpgradeInputs;
  line: string;
  facts?: NodeFacts;
  obstacle?: string;
}

async function lookAt(
  surroundings: Surroundings,
  urn: string,
  wanted: NodeUpgradeInputs,
  signal: AbortSignal,
): Promise<Look> {
  const session = await Session.open(surroundings, urn, wanted, signal);
  const { context } = session;
  // Nobody waits for a preview's guards: what they say meanwhile is not shown.
  const quiet = { ...context, progress: silentProgress };
  const target = describeImage(wanted.talosVersion, wanted.schematicId);
  try {
    const facts = await readFacts(context.talos, wanted, {
      deadlineMs: context.patience.probeMs * 2,
      signal,
    });
    const runs = describeImage(facts.version, facts.schematicId);
    if (isSettled(facts, wanted))
      return { wanted, facts, line: `${wanted.name}: ${runs} already, no reboot` };
    const line = `${wanted.name}: ${runs} -> ${target}, one reboot`;
    const obstacle = await guard(quiet, facts).then(() => undefined, told);
    return { wanted, facts, line, ...(obstacle === undefined ? {} : { obstacle }) };
  } catch (error) {
    if (!(error instanceof TalosError)) throw error;
    // A node that is new: it gets its configuration, and with it the image, before the rollout begins.
    if ((await strangersCertificate(error, context.talos)) !== undefined) {
      return { wanted, line: `${wanted.name}: not of this cluster yet -> installed with ${target}` };
    }
    return {
      wanted,
      line: `${wanted.name}: not read -> ${target}`,
      obstacle: noContact(error, context).message,
    };
  } finally {
    session.close();
  }
}

/** What stands against an upgrade. A node in motion is none of it: it is waited for. */
function told(error: unknown): string | undefined {
  if (error instanceof NodeMoved) return undefined;
  if (error instanceof UpgradeError || error instanceof TalosError) return error.message;
  throw error;
}
