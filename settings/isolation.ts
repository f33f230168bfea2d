import { parseAllDocuments } from "yaml";
import { hasWorkloadIsolation } from "../talos/features.ts";
import { patchText } from "./patches.ts";
import { isRecord } from "../talos/values.ts";
import { valueAt } from "./raw.ts";
import type { ClusterSettings } from "./schema.ts";

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
    .map((document) => document.toJS() as unknown)
    .findLast((document) => isRecord(document) && document["kind"] === "SecurityProfileConfig");
  const value = valueAt(last, "workloadIsolation");
  if (valueAt(last, "$patch") === "delete") return false;
  return typeof value === "boolean" ? value : undefined;
}
