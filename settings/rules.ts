import { z } from "zod";
import type { Problem } from "../components/csi/problems.ts";
import { baseShape, type ClusterSettings, type NodeSettings, type PatchSetting } from "./schema.ts";
import { checkPatches, patchText } from "./patches.ts";
import { checkLabels } from "./nodeLabels.ts";
import { checkPools, expandPools } from "./pools.ts";
import { checkEndpoint, checkTalosEndpoints } from "./endpoint.ts";
import { checkNetwork } from "./networkRules.ts";
import { checkImages, givenImages, type CheckedImage } from "./images.ts";
import { defaultImage } from "./imageSettings.ts";
import { givenNodes, wellTyped, type GivenSettings } from "./given.ts";
import { settingsSchema, type Draft } from "./settingsSchema.ts";
import { checkCsi, csiProblemsOfDraft, driversWithoutGuard } from "./csi.ts";
import { addControlPlaneTolerations, placementProblems } from "./placement.ts";
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

/** Rules that involve several keys, or what a value means rather than its form. */

/** A patch of a machine configuration as YAML text. */
type Patches = string[];

/** Checked settings with every default filled in. */
export interface Settings extends Omit<Draft, "image" | "images" | "cluster" | "approvedPlan"> {
  /** The approved plan. Absent: no approval is required. */
  approvedPlan?: ApprovedPlan;
  image: CheckedImage;
  /** Additional images by name, with missing values taken from `image`. */
  images: Record<string, CheckedImage>;
  cluster: Omit<ClusterSettings, "nodes" | "secrets" | "documents" | "patches"> & {
    nodes: (Omit<NodeSettings, "documents" | "patches" | "talosVersion" | "config" | "configFile"> & {
      patches: Patches;
      talosVersion: string;
      /** The node's existing machine configuration. Absent: one is generated. */
      baseConfiguration?: string;
    })[];
    patches: { all: Patches; controlplane: Patches; worker: Patches };
    /** Secrets of a running cluster. Absent: the cluster is new. */
    secrets?: ExistingSecrets;
  };
  /** What is allowed but probably unintended; shown in the preview. */
  warnings: Problem[];
  /** Values set with --secret or taken from the environment; never shown, whatever their names. */
  hidden: Hidden;
}

/**
 * Checks what the schema cannot, as far as settings are well formed, so that one run reports all mistakes.
 * @param raw the settings as written. @param draft the schema's output, if they fit it.
 */
export function completeSettings(
  raw: Record<string, unknown>,
  draft: Draft | undefined,
  readFile: ReadFile,
): { settings?: Omit<Settings, "hidden">; problems: Problem[] } {
  const { raw: whole, relocate } = expandPools(raw);
  // What is valid in a pool is valid in its nodes.
  const wholeDraft =
    draft === undefined || whole === raw ? draft : (settingsSchema.safeParse(whole).data ?? draft);
  const given = wellTyped(settingsSchema, whole) ?? {};
  const { settings, problems } = checkAndComplete(given, whole, wholeDraft, readFile);
  const moved = (problem: Problem): Problem => ({
    ...problem,
    path: relocate(problem.path),
    // A reason may name other keys: a document that is there twice, a release that does not fit.
    reason: problem.reason.replaceAll(/\bcluster\.nodes\[\d+\]\.\w+(\[\d+\])?/g, relocate),
  });
  return {
    ...(settings === undefined ? {} : { settings: { ...settings, warnings: settings.warnings.map(moved) } }),
    problems: problems.map(moved),
  };
}

/** The secrets of a running cluster, if they are well formed. */
const { secrets: secretsSchema, renewCredentials: renewSchema } = baseShape.cluster.shape;
const secretsOnly = z.object({
  cluster: z.object({ secrets: secretsSchema, renewCredentials: renewSchema.catch(false) }),
});

/** @param given for the rules. @param raw the same settings as written, for the drivers' schemas */
function checkAndComplete(
  given: GivenSettings,
  raw: Record<string, unknown>,
  draft: Draft | undefined,
  readFile: ReadFile,
): { settings?: Omit<Settings, "hidden">; problems: Problem[] } {
  const problems: Problem[] = [];
  const warnings: Problem[] = [];
  checkNodes(given, problems, warnings);
  checkNetwork(given, problems, warnings);
  checkEndpoint(given, warnings);
  checkTalosEndpoints(given, warnings);
  checkDrain(given, problems);
  checkDisks(given, problems);
  checkPools(given, problems, warnings);
  checkLabels(given, problems);
  const sources = readBaseFiles(given, readFile, problems);
  const absent = new Set(["talosContract", "kubernetesVersion"].filter((key) => raw[key] === undefined));
  checkVersions(given, problems, warnings, {
    generated: sources.some((source) => source === undefined),
    absent,
  });
  const images = checkImages(given, problems, warnings);
  checkPatches(given, problems, warnings, sources);
  const nodes = givenNodes(given);
  const ownOfControlPlane = sources.find(
    (source, index) => source !== undefined && nodes[index]?.role === "controlplane",
  );
  const { secrets, renewCredentials } = secretsOnly.safeParse(raw).data?.cluster ?? {};
  const existing =
    secrets === undefined
      ? undefined
      : readExistingSecrets(secrets, readFile, ownOfControlPlane, renewCredentials);
  problems.push(...(existing?.problems ?? []));
  const contract = textIfParsable(given.talosContract, parseContract);
  problems.push(...checkBaseFiles(given, sources, existing?.secrets?.machineSecrets, contract));
  const approved = readApprovedPlan(given.approvedPlan, readFile, problems);
  const { [defaultImage]: image, ...others } = Object.fromEntries(images);
  if (draft === undefined || image === undefined || images.size < givenImages(given).length) {
    problems.push(...csiProblemsOfDraft(raw));
    return { problems };
  }
  const csi = checkCsi(draft, images);
  problems.push(...csi.problems);
  warnings.push(...csi.warnings);
  const { secrets: _secrets, documents, ...cluster } = draft.cluster;
  // A document is merged like a patch; a new one is added.
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
  problems.push(...placementProblems(settings));
  return { settings, problems };
}

/** The drivers without a guard that their Kubernetes does not support, so that the stack still deploys. */
function withoutUnsupportedGuard(draft: Draft): Pick<Draft, "joviandss" | "synology"> {
  return Object.fromEntries(
    driversWithoutGuard(draft).map((driver) => [driver, { ...draft[driver], guardAccessModes: false }]),
  );
}

function checkNodes(given: GivenSettings, problems: Problem[], warnings: Problem[]): void {
  const nodes = givenNodes(given);
  for (const key of ["name", "address"] as const) {
    const first = new Map<string, number>();
    nodes.forEach((node, index) => {
      const value = node[key];
      if (value === undefined) return;
      const other = first.get(normalizeHost(value));
      if (other === undefined) first.set(normalizeHost(value), index);
      else
        problems.push({
          path: `cluster.nodes[${index}].${key}`,
          reason: `is "${value}", the same as cluster.nodes[${other}].${key}; every node needs its own ${key}`,
        });
    });
  }
  const controlPlanes = nodes.filter((node) => node.role === "controlplane").length;
  const workers = nodes.filter((node) => node.role === "worker").length;
  // If a role is invalid, it is unknown whether a control plane is missing.
  if (workers > 0 && workers === nodes.length) {
    problems.push({
      path: "cluster.nodes",
      reason: "has no control plane; at least one node needs role: controlplane",
    });
  }
  if (controlPlanes > 0 && controlPlanes % 2 === 0) {
    const advice =
      controlPlanes === 2
        ? "with two, losing either one stops the cluster, and neither can be upgraded, because etcd would lose its quorum"
        : `${controlPlanes} tolerate no more failures than ${controlPlanes - 1}`;
    warnings.push({
      path: "cluster.nodes",
      reason: `has an even number of control planes (${controlPlanes}); ${advice}. Use an odd number`,
    });
  }
}
