import { stringify } from "yaml";
import type { Problem } from "../components/csi/problems.ts";
import { joviandssSchema } from "../components/csi/joviandssSettings.ts";
import { synologySchema } from "../components/csi/synologySettings.ts";
import type { PatchSetting } from "./schema.ts";
import { documentProblems, type LocatedText, type OurDocuments } from "./documents.ts";
import { at, isRecord, listAt } from "./raw.ts";
import { wellFormed } from "./versions.ts";
import type { Source } from "./files.ts";
import { ConfigTextError } from "../talos/configTree.ts";
import { newestContract } from "../talos/iscsi.ts";
import { MergeError, mergeConfig } from "../talos/mergeConfig.ts";
import { patchProblems } from "../talos/userPatches.ts";
import { parseContract, parseVersion } from "../talos/version.ts";

/** A patch as YAML text: what a mapping in the stack's file says, or the text itself. */
export function patchText(patch: PatchSetting): string {
  return typeof patch === "string" ? patch : stringify(patch);
}

/** Patches are judged together, as a node gets them: those of all, of its role, and its own. */
export function checkPatches(
  raw: unknown,
  problems: Problem[],
  bases: readonly (Source | undefined)[] = [],
): void {
  const version = wellFormed(at(raw, "talosVersion"), parseVersion);
  const contract =
    wellFormed(at(raw, "talosContract"), parseContract) ??
    (version === undefined ? undefined : newestContract(version));
  const isNew = at(raw, "cluster", "secrets") === undefined;
  const namespaces = Object.entries({ joviandss: joviandssSchema, synology: synologySchema }).flatMap(
    ([driver, schema]) =>
      at(raw, driver) === undefined
        ? []
        : (schema.shape.namespace.safeParse(at(raw, driver, "namespace")).data ?? []),
  );
  listAt(raw, "cluster", "nodes").forEach((node, index) => {
    const role = at(node, "role");
    if (role !== "controlplane" && role !== "worker") return; // the schema says so
    const level = (key: "documents" | "patches"): LocatedText[] =>
      [
        [`cluster.${key}.all`, listAt(raw, "cluster", key, "all")] as const,
        [`cluster.${key}.${role}`, listAt(raw, "cluster", key, role)] as const,
        [`cluster.nodes[${index}].${key}`, listAt(node, key)] as const,
      ].flatMap(([path, list]) =>
        list.flatMap((patch, position) =>
          typeof patch === "string" || isRecord(patch)
            ? [{ path: `${path}[${position}]`, text: patchText(patch) }]
            : [],
        ),
      );
    const hostname = textAt(node, "hostname") ?? (isNew ? textAt(node, "name") : undefined);
    const documents = level("documents");
    problems.push(...documentProblems(documents, ourDocuments(raw, node, hostname)));
    const located = [...documents, ...level("patches")];
    const found = patchProblems(
      located.map(({ text }) => text),
      // Our own host name is set on new clusters, and where it is given.
      { role, contract, namespaces, hostname },
    );
    for (const { patch, line, reason } of found) {
      problems.push({ path: located[patch]?.path ?? "cluster.patches", reason: `line ${line}: ${reason}` });
    }
    const base = bases[index];
    const misfit =
      base === undefined || found.length > 0
        ? undefined
        : mergeProblem(
            base.text,
            located.map(({ text }) => text),
          );
    if (misfit !== undefined)
      problems.push({ path: located[misfit.patch]?.path ?? "cluster.patches", reason: misfit.reason });
  });
}

function ourDocuments(raw: unknown, node: unknown, hostname: string | undefined): OurDocuments {
  const links = listAt(node, "network", "interfaces").map((link) => at(link, "interface"));
  return {
    hostname: hostname !== undefined,
    subnets: ["podSubnets", "serviceSubnets"].some((key) => at(raw, "cluster", key) !== undefined),
    nameservers: listAt(node, "network", "nameservers").length > 0,
    vip: at(raw, "cluster", "vip") !== undefined && at(node, "role") === "controlplane",
    links: links.filter((name) => typeof name === "string"),
  };
}

/** Why a patch cannot be put on a node's own machine configuration. What is wrong with that one is told elsewhere. */
function mergeProblem(base: string, patches: readonly string[]): MergeError | undefined {
  try {
    mergeConfig(base, patches);
    return undefined;
  } catch (error) {
    if (error instanceof MergeError) return error;
    if (error instanceof ConfigTextError) return undefined;
    throw error;
  }
}

function textAt(value: unknown, key: string): string | undefined {
  const text = at(value, key);
  return typeof text === "string" ? text : undefined;
}
