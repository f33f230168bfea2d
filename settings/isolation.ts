import { parseAllDocuments } from "yaml";
import { z } from "zod";
import { hasWorkloadIsolation } from "../talos/features.ts";
import { patchText } from "./patches.ts";
import type { ClusterSettings } from "./schema.ts";

/** As far as it is about isolation; what is wrong with it is told elsewhere. */
const profileSchema = z.object({
  kind: z.literal("SecurityProfileConfig"),
  workloadIsolation: z.boolean().optional().catch(undefined),
  $patch: z.string().optional().catch(undefined),
});

type Patches = ClusterSettings["patches"]["all"];

/**
 * Whether the pods of some node are kept from seeing what runs beside them: the contract says so, and not every node has a patch that
 * switches it off (SecurityProfileConfig, `workloadIsolation: false`).
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

/** What a patch says of it; undefined if nothing. One that is no YAML is told elsewhere. */
function isolationInPatch(text: string): boolean | undefined {
  if (!text.includes("SecurityProfileConfig")) return undefined;
  const documents = parseAllDocuments(text);
  const last = (Array.isArray(documents) ? documents : [])
    .map((document) => profileSchema.safeParse(document.toJS()).data)
    .findLast((document) => document !== undefined);
  return last?.$patch === "delete" ? false : last?.workloadIsolation;
}
