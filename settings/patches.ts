import { stringify } from "yaml";
import type { Problem } from "../components/csi/problems.ts";
import { joviandssIdentity, synologyIdentity } from "../components/csi/driverIdentity.ts";
import { joviandssSchema } from "../components/csi/joviandssSettings.ts";
import { synologySchema } from "../components/csi/synologySettings.ts";
import { baseShape, type PatchSetting } from "./schema.ts";
import { diskSelectorSchema } from "./disk.ts";
import { documentProblems, type LocatedText, type OurDocuments } from "./documents.ts";
import { networkSchema, vipSchema } from "./network.ts";
import { givenInstaller, usesIscsi } from "./images.ts";
import { contractOfSettings } from "./contract.ts";
import { isRecord } from "../talos/values.ts";
import { valueAt, listAt } from "./raw.ts";
import { textIfParsable } from "./parsable.ts";
import type { Source } from "./files.ts";
import { advisories } from "../talos/advisories.ts";
import { ConfigTextError, type TreeMap } from "../talos/configTree.ts";
import { newestUsableContract } from "../talos/iscsi.ts";
import { installKernelArguments } from "../talos/checkConfig.ts";
import { ownPatches } from "../talos/machineConfigPatches.ts";
import { dropKnownParts } from "../talos/dropKnownParts.ts";
import { PatchError } from "../talos/patches.ts";
import { skeletonConfig } from "../talos/skeleton.ts";
import type { PatchProblem } from "../talos/patchSource.ts";
import { evaluatePatches, type PatchVerdict } from "../talos/userPatches.ts";
import { parseVersion } from "../talos/version.ts";

/** A patch as YAML text: what a mapping in the stack's file says, or the text itself. */
export function patchText(patch: PatchSetting): string {
  return typeof patch === "string" ? patch : stringify(patch);
}

/** Patches are judged together, as a node gets them: those of all, of its role, and its own; and by what they make of its configuration. */
export function checkPatches(
  raw: unknown,
  problems: Problem[],
  warnings: Problem[],
  bases: readonly (Source | undefined)[] = [],
): void {
  const concerned = new Map<string, string[]>();
  const nodes = listAt(raw, "cluster", "nodes");
  nodes.forEach((node, index) => {
    const role = valueAt(node, "role");
    if (role !== "controlplane" && role !== "worker") return; // the schema says so
    const level = (key: "documents" | "patches"): LocatedPatch[] => [
      ...locatePatches(`cluster.${key}.all`, listAt(raw, "cluster", key, "all")),
      ...locatePatches(`cluster.${key}.${role}`, listAt(raw, "cluster", key, role)),
      ...locatePatches(`cluster.nodes[${index}].${key}`, listAt(node, key)),
    ];
    const documents = level("documents");
    problems.push(...documentProblems(documents, programDocuments(raw, node, hostnameOf(raw, node))));
    const located = [...documents, ...level("patches")];
    const base = bases[index];
    const verdict = evaluateNodePatches(raw, node, role, located, base);
    problems.push(...placeProblems(verdict.problems, located));
    if (base !== undefined)
      // Whose file it is, and of which role, is told where the file is looked at.
      problems.push(
        ...verdict.ofBase
          .filter(({ rule }) => rule !== "role")
          .map(({ reason }) => ({ path: base.path, reason })),
      );
    for (const warning of verdict.merged === undefined
      ? []
      : kernelArgumentWarnings(raw, node, verdict.merged)) {
      concerned.set(warning, [...(concerned.get(warning) ?? []), textAt(node, "name") ?? `nodes[${index}]`]);
    }
  });
  for (const [warning, names] of concerned)
    warnings.push({ path: "cluster.nodes", reason: `${names.join(", ")}: ${warning}` });
  problems.push(...unusedProblems(raw));
}

type LocatedPatch = LocatedText & { isText: boolean };

function locatePatches(path: string, list: readonly unknown[]): LocatedPatch[] {
  return list.flatMap((patch, position) =>
    typeof patch === "string" || isRecord(patch)
      ? [{ path: `${path}[${position}]`, text: patchText(patch), isText: typeof patch === "string" }]
      : [],
  );
}

function placeProblems(found: readonly PatchProblem[], located: readonly LocatedPatch[]): Problem[] {
  return found.map(({ patch, line, reason }) => {
    // A mapping has no lines of its own in the stack's file.
    const hasLines = line !== undefined && located[patch]?.isText === true;
    return {
      path: located[patch]?.path ?? "cluster.patches",
      reason: hasLines ? `line ${line}: ${reason}` : reason,
    };
  });
}

/** Patches that no node has yet, a role's or a pool's: the first node that gets them must not be the one that shows their mistakes. */
function unusedProblems(raw: unknown): Problem[] {
  const nodes = listAt(raw, "cluster", "nodes");
  const isUsed = (key: "role" | "pool", name: string): boolean =>
    nodes.length === 0 || nodes.some((node) => valueAt(node, key) === name);
  const keys = ["documents", "patches"] as const;
  const listed = (role: string): LocatedPatch[] =>
    keys.flatMap((key) => locatePatches(`cluster.${key}.${role}`, listAt(raw, "cluster", key, role)));
  const ofRoles = (["controlplane", "worker"] as const).flatMap((role) => {
    const own = listed(role);
    if (isUsed("role", role) || own.length === 0) return [];
    const located = [...listed("all"), ...own];
    return placeProblems(evaluateNodePatches(raw, { role }, role, located).problems, located).filter(
      ({ path }) => own.some((patch) => patch.path === path),
    );
  });
  const pools = valueAt(raw, "cluster", "pools");
  // Of which role its nodes are to be, nobody knows yet: their patches are judged as text.
  const ofPools = Object.entries(isRecord(pools) ? pools : {}).flatMap(([name, pool]) => {
    if (isUsed("pool", name)) return [];
    const located = keys.flatMap((key) => locatePatches(`cluster.pools.${name}.${key}`, listAt(pool, key)));
    return placeProblems(evaluateNodePatches(raw, pool, undefined, located).problems, located);
  });
  return [...ofRoles, ...ofPools];
}

/** Our own host name is set on new clusters, and where it is given. */
function hostnameOf(raw: unknown, node: unknown): string | undefined {
  const isNew = valueAt(raw, "cluster", "secrets") === undefined;
  return textAt(node, "hostname") ?? (isNew ? textAt(node, "name") : undefined);
}

/** @param role absent: the patches are judged as text alone */
function evaluateNodePatches(
  raw: unknown,
  node: unknown,
  role: "controlplane" | "worker" | undefined,
  located: readonly LocatedPatch[],
  base?: Source,
): PatchVerdict {
  const contract = contractOfSettings(raw);
  const namespaces = driverNamespaces(raw);
  const hostname = hostnameOf(raw, node);
  return evaluatePatches(
    located.map(({ text }) => text),
    {
      role,
      contract,
      namespaces,
      hostname,
      image: givenInstaller(raw, node),
      talosVersion: textIfParsable(
        valueAt(node, "talosVersion") ?? valueAt(raw, "talosVersion"),
        parseVersion,
      ),
      base: base?.text,
      baseName: base?.path,
      generated:
        contract === undefined || role === undefined || base !== undefined
          ? undefined
          : generatedConfiguration(raw, contract, role),
      own:
        role === undefined
          ? []
          : programPatches(raw, node, { role, contract, namespaces, hostname, base: base?.text }),
    },
  );
}

/** The namespaces of the drivers that are asked for, as far as their settings can be read. */
function driverNamespaces(raw: unknown): string[] {
  const settings = <Driver extends "joviandss" | "synology">(
    driver: Driver,
    schema: typeof joviandssSchema | typeof synologySchema,
  ) => {
    const namespace =
      valueAt(raw, driver) === undefined
        ? undefined
        : schema.shape.namespace.safeParse(valueAt(raw, driver, "namespace")).data;
    return namespace === undefined ? undefined : { namespace, healthPort: 0 };
  };
  const jovian = settings("joviandss", joviandssSchema);
  const pools = listAt(raw, "joviandss", "pools");
  const synology = settings("synology", synologySchema);
  return [
    ...(jovian === undefined
      ? []
      : (pools.length > 0 ? pools : [{}]).map((pool, index) => {
          const own = valueAt(pool, "driver");
          const driver = own === undefined ? undefined : { name: textAt(own, "name") ?? "" };
          return joviandssIdentity(jovian, { name: textAt(pool, "name") ?? "", driver }, index).namespace;
        })),
    ...(synology === undefined ? [] : [synologyIdentity(synology).namespace]),
  ];
}

/** What a new node's configuration is generated as, as far as the settings say. */
function generatedConfiguration(
  raw: unknown,
  contract: string,
  role: "controlplane" | "worker",
): string | undefined {
  const endpoint = valueAt(raw, "cluster", "endpoint");
  return skeletonConfig(contract, role, {
    clusterName: textAt(valueAt(raw, "cluster"), "name"),
    endpoint: typeof endpoint === "string" && URL.canParse(endpoint) ? endpoint : undefined,
    kubernetesVersion: textAt(raw, "kubernetesVersion"),
  });
}

/** Our own patches, as far as the settings are well formed: what is not is told elsewhere. */
function programPatches(
  raw: unknown,
  node: unknown,
  given: {
    role: "controlplane" | "worker";
    contract: string | undefined;
    namespaces: string[];
    hostname: string | undefined;
    base: string | undefined;
  },
): string[] {
  const { contract, base, role, namespaces, hostname } = given;
  const installerImage = givenInstaller(raw, node);
  const talosVersion = textIfParsable(
    valueAt(node, "talosVersion") ?? valueAt(raw, "talosVersion"),
    parseVersion,
  );
  if (contract === undefined || installerImage === undefined || talosVersion === undefined) return [];
  const subnets = (key: "podSubnets" | "serviceSubnets") =>
    baseShape.cluster.shape[key].safeParse(valueAt(raw, "cluster", key)).data;
  const vip = valueAt(raw, "cluster", "vip");
  const network = valueAt(node, "network");
  try {
    const own = ownPatches(
      {
        contract,
        talosVersion,
        role,
        hostname,
        installerImage,
        installDisk: textAt(node, "installDisk"),
        diskSelector: diskSelectorSchema.safeParse(valueAt(node, "diskSelector")).data,
        network: network === undefined ? undefined : networkSchema.safeParse(network).data,
        vip: vip === undefined ? undefined : vipSchema.safeParse(vip).data,
        exemptNamespaces: namespaces,
        kernelModules: usesIscsi(node) ? ["iscsi_tcp"] : [],
        labels: textsAt(node, "labels"),
        taints: textsAt(node, "taints"),
        podSubnets: subnets("podSubnets"),
        serviceSubnets: subnets("serviceSubnets"),
        user: [],
      },
      base,
    );
    return base === undefined ? own : dropKnownParts(base, own);
  } catch (error) {
    if (error instanceof PatchError || error instanceof ConfigTextError) return [];
    throw error;
  }
}

/** What becomes of kernel arguments in `machine.install`; how a node boots is not known here, and the preflight refuses what it would lose. */
function kernelArgumentWarnings(raw: unknown, node: unknown, merged: readonly TreeMap[]): string[] {
  const { args, grubUseUKICmdline } = installKernelArguments(merged);
  const version = textIfParsable(valueAt(node, "talosVersion") ?? valueAt(raw, "talosVersion"), parseVersion);
  if (args.length === 0 || grubUseUKICmdline || version === undefined) return [];
  return advisories({
    // A new machine is installed with them; what runs on another one is known in the preflight.
    from: valueAt(raw, "cluster", "secrets") === undefined ? undefined : version,
    to: version,
    contract: contractOfSettings(raw) ?? newestUsableContract(version),
    extensions: [],
    installKernelArgs: args,
  })
    .filter(({ id }) => id.startsWith("kernel-arguments-"))
    .map(({ text, source }) => `${text} (${source})`);
}

function programDocuments(raw: unknown, node: unknown, hostname: string | undefined): OurDocuments {
  const links = listAt(node, "network", "interfaces").map((link) => valueAt(link, "interface"));
  return {
    hostname: hostname !== undefined,
    subnets: ["podSubnets", "serviceSubnets"].some((key) => valueAt(raw, "cluster", key) !== undefined),
    nameservers: listAt(node, "network", "nameservers").length > 0,
    vip: valueAt(raw, "cluster", "vip") !== undefined && valueAt(node, "role") === "controlplane",
    links: links.filter((name) => typeof name === "string"),
  };
}

function textsAt(value: unknown, key: string): Record<string, string> {
  const map = valueAt(value, key);
  const entries = Object.entries(isRecord(map) ? map : {});
  return Object.fromEntries(
    entries.filter((entry): entry is [string, string] => typeof entry[1] === "string"),
  );
}

function textAt(value: unknown, key: string): string | undefined {
  const text = valueAt(value, key);
  return typeof text === "string" ? text : undefined;
}
