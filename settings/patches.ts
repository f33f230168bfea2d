import { stringify } from "yaml";
import type { Problem } from "../components/csi/problems.ts";
import { joviandssSchema } from "../components/csi/joviandssSettings.ts";
import { synologySchema } from "../components/csi/synologySettings.ts";
import { baseShape, type PatchSetting } from "./schema.ts";
import { documentProblems, type LocatedText, type OurDocuments } from "./documents.ts";
import { at, isRecord, listAt } from "./raw.ts";
import { wellFormed } from "./versions.ts";
import type { Source } from "./files.ts";
import { ConfigTextError } from "../talos/configTree.ts";
import { exemptedNamespaces } from "../talos/exemptions.ts";
import { installerImage } from "../talos/image.ts";
import { newestContract } from "../talos/iscsi.ts";
import { MergeError, mergeConfig } from "../talos/mergeConfig.ts";
import { parseSchematic, schematicId, SchematicError } from "../talos/schematic.ts";
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
      { role, contract, namespaces, hostname, image: imageOf(raw, node) },
    );
    for (const { patch, line, reason } of found) {
      problems.push({ path: located[patch]?.path ?? "cluster.patches", reason: `line ${line}: ${reason}` });
    }
    const base = bases[index];
    if (base === undefined || found.length > 0) return;
    const texts = located.map(({ text }) => text);
    for (const { patch, reason } of baseProblems(base.text, texts, base.path)) {
      problems.push({ path: located[patch]?.path ?? "cluster.patches", reason });
    }
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

/** The installer image that the settings give a node; undefined where they are not well formed, which is told elsewhere. */
function imageOf(raw: unknown, node: unknown): string | undefined {
  const image = baseShape.image.safeParse(at(raw, "image") ?? {}).data;
  const version = wellFormed(at(node, "talosVersion") ?? at(raw, "talosVersion"), parseVersion);
  if (image === undefined || version === undefined) return undefined;
  try {
    return installerImage({ ...image, schematicId: schematicId(parseSchematic(image.schematic)), version });
  } catch (error) {
    if (error instanceof SchematicError) return undefined;
    throw error;
  }
}

/** What is wrong with patches on a node's own machine configuration. What is wrong with that one itself is told elsewhere. */
function baseProblems(
  base: string,
  patches: readonly string[],
  where: string,
): { patch: number; reason: string }[] {
  try {
    mergeConfig(base, patches);
    return patches.flatMap((patch, index) => {
      const both = exemptedNamespaces(patch).filter((name) => exemptedNamespaces(base).includes(name));
      return both.map((name) => ({
        patch: index,
        reason: `namespace ${name} must not be exempted again (${where} exempts it): kube-apiserver does not start with a namespace listed twice`,
      }));
    });
  } catch (error) {
    if (error instanceof MergeError) return [{ patch: error.patch, reason: error.reason }];
    if (error instanceof ConfigTextError) return [];
    throw error;
  }
}

function textAt(value: unknown, key: string): string | undefined {
  const text = at(value, key);
  return typeof text === "string" ? text : undefined;
}
