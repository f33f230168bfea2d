import { isRecord } from "../talos/values.ts";
import { csiProblems, type CsiSettings } from "../components/csi/csiProblems.ts";
import { joviandssForm, joviandssWarnings } from "../components/csi/joviandssSettings.ts";
import { synologyForm, synologyWarnings } from "../components/csi/synologySettings.ts";
import type { z } from "zod";
import { namespacesSchema } from "../components/csi/namespaceSettings.ts";
import { snapshotControllerSchema } from "../components/csi/snapshotsSettings.ts";
import type { Problem } from "../components/csi/problems.ts";
import { parseRepaired } from "../components/csi/parseRepaired.ts";
import { advisories } from "../talos/advisories.ts";
import { newestUsableContract } from "../talos/iscsi.ts";
import { contractOfSettings } from "./contract.ts";
import { versionAtLeast } from "../talos/version.ts";
import { isolatesWorkloads } from "./isolation.ts";
import { unusedImageWarnings } from "./unusedImages.ts";
import { schematicExtensions, type CheckedImage } from "./images.ts";
import { defaultImage } from "./imageSettings.ts";
import type { ClusterSettings } from "./schema.ts";

const drivers = ["joviandss", "synology"] as const;

/** Drivers whose access guard the cluster's Kubernetes cannot enforce (ValidatingAdmissionPolicy v1: Kubernetes 1.30). */
export function driversWithoutGuard(
  settings: CsiSettings & { kubernetesVersion?: string | undefined },
): (typeof drivers)[number][] {
  const { kubernetesVersion } = settings;
  // Without a release, the cluster is new and gets one that supports them.
  if (kubernetesVersion === undefined || versionAtLeast(kubernetesVersion, 30)) return [];
  return drivers.filter((driver) => settings[driver]?.guardAccessModes === true);
}

/** Conflicts between the drivers when the settings have other mistakes: checks whatever can be parsed. */
export function csiProblemsOfDraft(raw: unknown): Problem[] {
  if (!isRecord(raw)) return [];
  const { joviandss, synology, snapshotController, namespaces } = raw;
  return csiProblems({
    joviandss: parseOrUndefined(joviandssForm, joviandss),
    synology: parseOrUndefined(synologyForm, synology),
    // One with a mistake still counts as present.
    snapshotController:
      snapshotController === undefined
        ? undefined
        : (parseOrUndefined(snapshotControllerSchema, snapshotController) ??
          snapshotControllerSchema.parse({})),
    namespaces: parseOrUndefined(namespacesSchema, namespaces),
  });
}

function parseOrUndefined<T>(schema: z.ZodType<T>, value: unknown): T | undefined {
  if (value === undefined) return undefined;
  const read = schema.safeParse(value);
  return read.success ? read.data : parseRepaired(schema, value, read.error.issues).data;
}

/** Checks the drivers against each other and against the cluster. */
export function checkCsi(
  settings: CsiSettings & {
    talosVersion: string;
    talosContract?: string | undefined;
    kubernetesVersion?: string | undefined;
    cluster: ClusterSettings;
  },
  images: ReadonlyMap<string, CheckedImage>,
): { problems: Problem[]; warnings: Problem[] } {
  const contract = contractOfSettings(settings) ?? newestUsableContract(settings.talosVersion);
  const known = [...images]
    .flatMap(([name, { schematic }]) =>
      advisories({
        to: settings.talosVersion,
        contract,
        extensions: schematicExtensions(schematic),
        schematic,
      }).map((advice) => ({ ...advice, path: name === defaultImage ? "talosVersion" : `images.${name}` })),
    )
    // Advice about a release applies to all of its images; report it once.
    .filter(({ text }, index, all) => all.findIndex((other) => other.text === text) === index)
    // The rules for versions, images and patches report refusals, at the key that causes them.
    .filter(({ severity }) => severity === "warning")
    .map(({ text, source, path }) => ({ path, reason: `${text} (${source})` }));
  const own = settings.joviandss === undefined ? [] : joviandssWarnings(settings.joviandss);
  const driven = new Set(
    settings.cluster.nodes.filter(({ iscsi }) => iscsi).map(({ image }) => image ?? defaultImage),
  );
  const onEveryImage = [...images]
    .filter(([name]) => driven.has(name))
    .map(([, { schematic }]) => [...schematicExtensions(schematic)])
    .reduce<string[] | undefined>(
      (common, all) => common?.filter((name) => all.includes(name)) ?? all,
      undefined,
    );
  const synology =
    settings.synology === undefined ? [] : synologyWarnings(settings.synology, onEveryImage ?? []);
  return {
    problems: csiProblems(settings, { workloadIsolation: isolatesWorkloads(settings.cluster, contract) }),
    warnings: [
      ...own.map(({ path, reason }) => ({ path: `joviandss.${path}`, reason })),
      ...synology.map(({ path, reason }) => ({ path: `synology.${path}`, reason })),
      ...unusedImageWarnings(settings),
      ...driversWithoutGuard(settings).map((driver) => ({
        path: `${driver}.guardAccessModes`,
        reason: `has no effect on Kubernetes ${settings.kubernetesVersion}, because ValidatingAdmissionPolicies need v1.30 or newer; claims that two nodes could mount are not refused`,
      })),
      ...known,
    ],
  };
}
