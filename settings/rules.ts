import type { z } from "zod";
import type { Problem } from "../components/csi/problems.ts";
import { joviandssSchema } from "../components/csi/joviandssSettings.ts";
import { snapshotControllerSchema } from "../components/csi/snapshotsSettings.ts";
import { namespacesSchema } from "../components/csi/namespaceSettings.ts";
import { synologySchema } from "../components/csi/synologySettings.ts";
import { sectionSchema } from "../components/csi/fields.ts";
import { baseShape, type ClusterSettings, type NodeSettings, type PatchSetting } from "./schema.ts";
import { checkPatches, patchText } from "./patches.ts";
import { checkLabels } from "./nodeLabels.ts";
import { checkPools, expandPools } from "./pools.ts";
import { checkEndpoint } from "./endpoint.ts";
import { checkNetwork } from "./networkRules.ts";
import { checkImages, givenImages, type CheckedImage } from "./images.ts";
import { defaultImage } from "./imageSettings.ts";
import { valueAt, listAt } from "./raw.ts";
import { checkCsi, csiProblemsOfDraft, driversWithoutGuard } from "./csi.ts";
import { addControlPlaneTolerations } from "./placement.ts";
import { readApprovedPlan } from "./approvedPlan.ts";
import { readBaseFiles, checkBaseFiles } from "./baseFiles.ts";
import type { ReadFile } from "./files.ts";
import { readExistingSecrets, type ExistingSecrets } from "./secrets.ts";
import type { Hidden } from "./secretValues.ts";
import { checkVersions } from "./versions.ts";
import { textIfParsable } from "./parsable.ts";
import type { ApprovedPlan } from "../talos/rolloutPlan.ts";
import { normalizeHost } from "../talos/endpoint.ts";
import { parseContract } from "../talos/version.ts";
import { checkDisks } from "./diskRules.ts";
import { checkDrain } from "./drainRules.ts";

export type { ReadFile } from "./files.ts";

/** The rules of a stack's settings that concern several keys, or what a value means rather than how it looks. */

/** Everything that a stack's file may say. */
export const settingsSchema = sectionSchema({
  ...baseShape,
  joviandss: joviandssSchema.optional().describe("JovianDSS driver. Absent: not deployed."),
  namespaces: namespacesSchema,
  snapshotController: snapshotControllerSchema.optional(),
  synology: synologySchema.optional().describe("Synology driver. Absent: not deployed."),
});
type Draft = z.output<typeof settingsSchema>;

/** A patch of a machine configuration as YAML text. */
type Patches = string[];

/** Checked settings with every default filled in. */
export interface Settings extends Omit<Draft, "image" | "images" | "cluster" | "approvedPlan"> {
  /** The plan that was approved. Absent: none has to be. */
  approvedPlan?: ApprovedPlan;
  image: CheckedImage;
  /** Further images by name, complete: what one leaves out is that of `image`. */
  images: Record<string, CheckedImage>;
  cluster: Omit<ClusterSettings, "nodes" | "secrets" | "documents" | "patches"> & {
    nodes: (Omit<NodeSettings, "documents" | "patches" | "talosVersion" | "config" | "configFile"> & {
      patches: Patches;
      talosVersion: string;
      /** The machine configuration that the node has, as its owner has it on file. Absent: one is generated. */
      baseConfiguration?: string;
    })[];
    patches: { all: Patches; controlplane: Patches; worker: Patches };
    /** Secrets of a running cluster. Absent: the cluster is new. */
    secrets?: ExistingSecrets;
  };
  /** What is allowed but probably not meant; shown in the preview. */
  warnings: Problem[];
  /** Values that were set with --secret or taken from the environment: shown nowhere, whatever their names. */
  hidden: Hidden;
}

/**
 * Checks what the schema cannot, on as much as is well formed, so that one run shows all mistakes.
 * @param raw the settings as given. @param draft what the schema made of them, if they fit it.
 */
export function completeSettings(
  raw: Record<string, unknown>,
  draft: Draft | undefined,
  readFile: ReadFile,
): { settings?: Omit<Settings, "hidden">; problems: Problem[] } {
  const { raw: whole, relocate } = expandPools(raw);
  // What is right at a pool is right at its nodes.
  const wholeDraft =
    draft === undefined || whole === raw ? draft : (settingsSchema.safeParse(whole).data ?? draft);
  const { settings, problems } = checkAndComplete(whole, wholeDraft, readFile);
  const moved = (problem: Problem): Problem => ({ ...problem, path: relocate(problem.path) });
  return {
    ...(settings === undefined ? {} : { settings: { ...settings, warnings: settings.warnings.map(moved) } }),
    problems: problems.map(moved),
  };
}

function checkAndComplete(
  raw: Record<string, unknown>,
  draft: Draft | undefined,
  readFile: ReadFile,
): { settings?: Omit<Settings, "hidden">; problems: Problem[] } {
  const problems: Problem[] = [];
  const warnings: Problem[] = [];
  checkNodes(raw, problems, warnings);
  checkNetwork(raw, problems, warnings);
  checkEndpoint(raw, warnings);
  checkDrain(raw, problems);
  checkDisks(raw, problems);
  checkPools(raw, problems, warnings);
  checkLabels(raw, problems, warnings);
  const sources = readBaseFiles(raw, readFile, problems);
  checkVersions(raw, problems, warnings, { generated: sources.some((source) => source === undefined) });
  const images = checkImages(raw, problems, warnings);
  checkPatches(raw, problems, warnings, sources);
  const secretsGiven = valueAt(raw, "cluster", "secrets");
  const parsedSecrets =
    secretsGiven === undefined ? undefined : baseShape.cluster.shape.secrets.safeParse(secretsGiven);
  const ownOfControlPlane = sources.find(
    (source, index) =>
      source !== undefined && valueAt(listAt(raw, "cluster", "nodes")[index], "role") === "controlplane",
  );
  const existing =
    parsedSecrets?.data === undefined
      ? undefined
      : readExistingSecrets(parsedSecrets.data, readFile, ownOfControlPlane);
  problems.push(...(existing?.problems ?? []));
  const contract = textIfParsable(valueAt(raw, "talosContract"), parseContract);
  problems.push(...checkBaseFiles(raw, sources, existing?.secrets?.machineSecrets, contract));
  const approved = readApprovedPlan(valueAt(raw, "approvedPlan"), readFile, problems);
  const { [defaultImage]: image, ...others } = Object.fromEntries(images);
  if (draft === undefined || image === undefined || images.size < givenImages(raw).length) {
    problems.push(...csiProblemsOfDraft(raw));
    return { problems };
  }
  const csi = checkCsi(draft, images);
  problems.push(...csi.problems);
  warnings.push(...csi.warnings);
  const { secrets: _secrets, documents, ...cluster } = draft.cluster;
  // A document is merged as a patch is: one that is not there yet is added.
  const merged = (own: PatchSetting[], patches: PatchSetting[]): Patches =>
    [...own, ...patches].map(patchText);
  const { approvedPlan: _approved, ...plainly } = draft;
  const settings: Omit<Settings, "hidden"> = {
    ...plainly,
    ...(approved === undefined ? {} : { approvedPlan: approved }),
    ...addControlPlaneTolerations({ ...draft, ...withoutUnsupportedGuard(draft) }),
    image,
    images: others,
    cluster: {
      ...cluster,
      nodes: cluster.nodes.map(
        ({ documents: own, config: _config, configFile: _configFile, ...node }, index) => {
          const source = sources[index];
          return {
            ...node,
            talosVersion: node.talosVersion ?? draft.talosVersion,
            patches: merged(own, node.patches),
            ...(source === undefined ? {} : { baseConfiguration: source.text }),
          };
        },
      ),
      patches: {
        all: merged(documents.all, cluster.patches.all),
        controlplane: merged(documents.controlplane, cluster.patches.controlplane),
        worker: merged(documents.worker, cluster.patches.worker),
      },
      ...(existing?.secrets === undefined ? {} : { secrets: existing.secrets }),
    },
    warnings,
  };
  return { settings, problems };
}

/** The drivers without the guard that their Kubernetes does not have, so that the stack deploys all the same. */
function withoutUnsupportedGuard(draft: Draft): Pick<Draft, "joviandss" | "synology"> {
  return Object.fromEntries(
    driversWithoutGuard(draft).map((driver) => [driver, { ...draft[driver], guardAccessModes: false }]),
  );
}

function checkNodes(raw: unknown, problems: Problem[], warnings: Problem[]): void {
  const nodes = listAt(raw, "cluster", "nodes");
  for (const key of ["name", "address"] as const) {
    const first = new Map<string, number>();
    nodes.forEach((node, index) => {
      const value = valueAt(node, key);
      if (typeof value !== "string") return;
      const other = first.get(normalizeHost(value));
      if (other === undefined) first.set(normalizeHost(value), index);
      else
        problems.push({
          path: `cluster.nodes[${index}].${key}`,
          reason: `is "${value}", as is that of cluster.nodes[${other}]; every node needs its own ${key}`,
        });
    });
  }
  const controlPlanes = nodes.filter((node) => valueAt(node, "role") === "controlplane").length;
  const workers = nodes.filter((node) => valueAt(node, "role") === "worker").length;
  // With a role that cannot be read, nobody knows yet whether a control plane is missing.
  if (workers > 0 && workers === nodes.length) {
    problems.push({
      path: "cluster.nodes",
      reason: "has no control plane; at least one node needs role: controlplane",
    });
  }
  if (controlPlanes > 0 && controlPlanes % 2 === 0) {
    const advice =
      controlPlanes === 2
        ? "with two, the loss of either stops the cluster, and no control plane can be upgraded: etcd would lose its majority"
        : `${controlPlanes} tolerate no more failures than ${controlPlanes - 1}`;
    warnings.push({
      path: "cluster.nodes",
      reason: `has an even number of control planes (${controlPlanes}); ${advice}. Use an odd number`,
    });
  }
}
