import { readOutlook } from "../../talos/nodeOutlook.ts";
import type { Digest } from "../digest/digest.ts";
import type { Image } from "./timeline.ts";

/** What the preflight found when this preview looked at the nodes. */
export interface PreflightResult {
  /** What runs there; undefined where nobody could be asked. */
  runs?: Image;
  /** `new`: runs the wanted image already, is installed with it, or was not read; the node's configuration says which. */
  fate: "stays" | "upgrade" | "new" | "unread";
  /** Releases that it is taken through before the wanted one, a rollout each; absent where there are none. */
  hops?: string[];
}

export const preflightType = "talos-node:index:RolloutPreflight";

/** By the node's name. Empty where the nodes were not asked: nothing that they run has changed, or it is not known yet. */
export function preflightResults({ steps }: Digest): Map<string, PreflightResult> {
  const step = steps.find(({ type }) => type === preflightType);
  // An unchanged preflight has the plan of the rollout before.
  if (step === undefined || !["create", "update", "replace"].includes(step.operation)) return new Map();
  return new Map(
    entriesOf(step.new?.inputs["plan"]).flatMap(([name, outlook]) => {
      const found = typeof outlook === "string" ? parsePreflightLine(outlook) : undefined;
      return found === undefined ? [] : [[name, found] as const];
    }),
  );
}

/** By the node's name. Previews that were saved with 0.1.0 have a list of lines. */
function entriesOf(plan: unknown): [name: string, outlook: unknown][] {
  if (typeof plan !== "object" || plan === null) return [];
  if (!Array.isArray(plan)) return Object.entries(plan);
  return plan.flatMap((line): [string, unknown][] => {
    const [, name, outlook] = /^(.+?): (.*)$/.exec(typeof line === "string" ? line : "") ?? [];
    return name === undefined ? [] : [[name, outlook]];
  });
}

function parsePreflightLine(line: string): PreflightResult | undefined {
  const outlook = readOutlook(line);
  if (outlook === undefined) return undefined;
  const { fate, runs, hops } = outlook;
  return {
    fate,
    ...(runs === undefined ? {} : { runs: { version: runs.version, schematicId: runs.schematicId ?? "" } }),
    ...(hops.length === 0 ? {} : { hops: [...hops] }),
  };
}
