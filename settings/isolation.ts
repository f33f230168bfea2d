import { parseAllDocuments } from "yaml";
import { z } from "zod";
import { hasWorkloadIsolation } from "../talos/features.ts";
import { patchText } from "./patches.ts";
import type { ClusterSettings } from "./schema.ts";

/** The fields about isolation; mistakes in it are reported elsewhere. */
const profileSchema = z.object({
  kind: z.literal("SecurityProfileConfig"),
  workloadIsolation: z.boolean().optional().catch(undefined),
  $patch: z.string().optional().catch(undefined),
});

type Patches = ClusterSettings["patches"]["all"];

/**
 * Whether any node isolates its workloads: the contract enables it, and not every node has a patch that turns it off (SecurityProfileConfig,
 * `workloadIsolation: false`).
 */
export function isolatesWorkloads(cluster: ClusterSettings, contract: string): boolean {
  return cluster.nodes.some(({ role, documents, patches }) => {
    const levels: Patches[] = [
      ...[cluster.documents.all, cluster.documents[role], documents],
      ...[cluster.patches.all, cluster.patches[role], patches],
    ];
    return levels
      .flat()
      .reduce(
        (isolated, patch) => isolationInPatch(patchText(patch)) ?? isolated,
        hasWorkloadIsolation(contract),
      );
  });
}

/** A patch's value; undefined if it has none. Invalid YAML is reported elsewhere. */
function isolationInPatch(text: string): boolean | undefined {
  if (!text.includes("SecurityProfileConfig")) return undefined;
  const documents = parseAllDocuments(text);
  const last = (Array.isArray(documents) ? documents : [])
    .map((document) => profileSchema.safeParse(document.toJS()).data)
    .findLast((document) => document !== undefined);
  return last?.$patch === "delete" ? false : last?.workloadIsolation;
}
