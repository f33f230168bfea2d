import { stringify } from "yaml";
import type { Problem } from "../components/csi/problems.ts";
import { joviandssIdentity, synologyIdentity } from "../components/csi/driverIdentity.ts";
import { joviandssSchema } from "../components/csi/joviandssSettings.ts";
import { synologySchema } from "../components/csi/synologySettings.ts";
import { baseShape, type PatchSetting } from "./schema.ts";
import { diskSelectorSchema } from "./disk.ts";
import { documentProblems, type LocatedText, type OurDocuments } from "./documents.ts";
import { networkSchema, vipSchema } from "./network.ts";
import { refusedUpdates } from "./nodeLabels.ts";
import { givenInstaller, usesIscsi } from "./images.ts";
import { contractOfSettings } from "./contract.ts";
import { givenNodes, givenTexts, type GivenNode, type GivenSettings } from "./given.ts";
import { releaseOfNode } from "./parsable.ts";
import type { Source } from "./files.ts";
import { advisories } from "../talos/advisories.ts";
import { ConfigTextError, type TreeMap } from "../talos/configTree.ts";
import { newestUsableContract } from "../talos/iscsi.ts";
import { installKernelArguments } from "../talos/checkConfig.ts";
import { ownPatches } from "../talos/machineConfigPatches.ts";
import { joinsWithTaints } from "../talos/features.ts";
import { registrationProblem } from "../talos/nodePatch.ts";
import { dropKnownParts } from "../talos/dropKnownParts.ts";
import { PatchError } from "../talos/patches.ts";
import { skeletonConfig } from "../talos/skeleton.ts";
import type { PatchProblem } from "../talos/patchSource.ts";
import { evaluatePatches, type PatchVerdict } from "../talos/userPatches.ts";

/** A patch as YAML text, whether the stack's file has a text or a mapping. */
export function patchText(patch: PatchSetting): string {
  return typeof patch === "string" ? patch : stringify(patch);
}

/** Checks patches together, in the order that a node gets them (all nodes', its role's, its own), and the configuration that results. */
export function checkPatches(
  settings: GivenSettings,
  problems: Problem[],
  warnings: Problem[],
  bases: readonly (Source | undefined)[] = [],
): void {
  const concerned = new Map<string, string[]>();
  const nodes = givenNodes(settings);
  nodes.forEach((node, index) => {
    const { role } = node;
    if (role === undefined) return; // the schema reports it
    const level = (key: "documents" | "patches"): LocatedPatch[] => [
      ...locatePatches(`cluster.${key}.all`, settings.cluster?.[key]?.all),
      ...locatePatches(`cluster.${key}.${role}`, settings.cluster?.[key]?.[role]),
      ...locatePatches(`cluster.nodes[${index}].${key}`, node[key]),
    ];
    const documents = level("documents");
    problems.push(
      ...documentProblems(documents, programDocuments(settings, node, hostnameOf(settings, node))),
    );
    const located = [...documents, ...level("patches")];
    const base = bases[index];
    const verdict = evaluateNodePatches(settings, node, role, located, base);
    problems.push(...placeProblems(verdict.problems, located));
    if (base !== undefined)
      // `checkBaseFiles` reports a file of the wrong cluster or role, `checkLabels` the labels and taints of the settings.
      problems.push(
        ...verdict.ofBase
          .filter(({ rule }) => rule !== "role" && rule !== "node-metadata")
          .map(({ reason }) => ({ path: base.path, reason })),
      );
    if (verdict.merged !== undefined) problems.push(...taintProblems(settings, index, verdict.merged));
    for (const warning of verdict.merged === undefined
      ? []
      : [
          ...kernelArgumentWarnings(settings, node, verdict.merged),
          ...labelWarnings(settings, node, verdict.merged),
        ]) {
      concerned.set(warning, [...(concerned.get(warning) ?? []), node.name ?? `nodes[${index}]`]);
    }
  });
  for (const [warning, names] of concerned)
    warnings.push({ path: "cluster.nodes", reason: `${names.join(", ")}: ${warning}` });
  problems.push(...unusedProblems(settings));
}

type LocatedPatch = LocatedText & { isText: boolean };

function locatePatches(
  path: string,
  list: readonly (PatchSetting | undefined)[] | undefined,
): LocatedPatch[] {
  return (list ?? []).flatMap((patch, position) =>
    patch !== undefined
      ? [{ path: `${path}[${position}]`, text: patchText(patch), isText: typeof patch === "string" }]
      : [],
  );
}

function placeProblems(found: readonly PatchProblem[], located: readonly LocatedPatch[]): Problem[] {
  return found.map(({ patch, line, reason }) => {
    // A mapping's lines are not those of the stack's file.
    const hasLines = line !== undefined && located[patch]?.isText === true;
    return {
      path: located[patch]?.path ?? "cluster.patches",
      reason: hasLines ? `line ${line}: ${reason}` : reason,
    };
  });
}

/** Checks the patches of roles and pools that have no nodes yet, so that mistakes show before the first node is added. */
function unusedProblems(settings: GivenSettings): Problem[] {
  const nodes = givenNodes(settings);
  const isUsed = (key: "role" | "pool", name: string): boolean =>
    nodes.length === 0 || nodes.some((node) => node[key] === name);
  const keys = ["documents", "patches"] as const;
  const listed = (role: "all" | "controlplane" | "worker"): LocatedPatch[] =>
    keys.flatMap((key) => locatePatches(`cluster.${key}.${role}`, settings.cluster?.[key]?.[role]));
  const ofRoles = (["controlplane", "worker"] as const).flatMap((role) => {
    const own = listed(role);
    if (isUsed("role", role) || own.length === 0) return [];
    const located = [...listed("all"), ...own];
    return placeProblems(evaluateNodePatches(settings, { role }, role, located).problems, located).filter(
      ({ path }) => own.some((patch) => patch.path === path),
    );
  });
  // The role of a pool's future nodes is unknown, so its patches are checked as text only.
  const ofPools = Object.entries(settings.cluster?.pools ?? {}).flatMap(([name, pool]) => {
    if (isUsed("pool", name)) return [];
    const located = keys.flatMap((key) => locatePatches(`cluster.pools.${name}.${key}`, pool?.[key]));
    return placeProblems(evaluateNodePatches(settings, pool ?? {}, undefined, located).problems, located);
  });
  return [...ofRoles, ...ofPools];
}

/** This program sets the host name on new clusters, and wherever the settings have one. */
function hostnameOf(settings: GivenSettings, node: GivenNode): string | undefined {
  const isNew = settings.cluster?.secrets === undefined;
  return node.hostname ?? (isNew ? node.name : undefined);
}

/** @param role absent: the patches are checked as text only */
function evaluateNodePatches(
  settings: GivenSettings,
  node: GivenNode,
  role: "controlplane" | "worker" | undefined,
  located: readonly LocatedPatch[],
  base?: Source,
): PatchVerdict {
  const contract = contractOfSettings(settings);
  const namespaces = driverNamespaces(settings);
  const hostname = hostnameOf(settings, node);
  return evaluatePatches(
    located.map(({ text }) => text),
    {
      role,
      contract,
      namespaces,
      hostname,
      image: givenInstaller(settings, node),
      talosVersion: releaseOfNode(settings, node),
      base: base?.text,
      baseName: base?.path,
      generated:
        contract === undefined || role === undefined || base !== undefined
          ? undefined
          : generatedConfiguration(settings, contract, role),
      own:
        role === undefined
          ? []
          : programPatches(settings, node, { role, contract, namespaces, hostname, base: base?.text }),
    },
  );
}

/** The namespaces of the configured drivers, as far as their settings are readable. */
function driverNamespaces(settings: GivenSettings): string[] {
  const placed = (
    driver: { namespace?: string | undefined } | undefined,
    schema: typeof joviandssSchema | typeof synologySchema,
  ) => {
    const namespace =
      driver === undefined ? undefined : schema.shape.namespace.safeParse(driver.namespace).data;
    return namespace === undefined ? undefined : { namespace, healthPort: 0 };
  };
  const jovian = placed(settings.joviandss, joviandssSchema);
  const pools = settings.joviandss?.pools ?? [];
  const synology = placed(settings.synology, synologySchema);
  return [
    ...(jovian === undefined
      ? []
      : (pools.length > 0 ? pools : [{}]).map((pool, index) => {
          const own = pool?.driver;
          const driver = own === undefined ? undefined : { name: own.name ?? "" };
          return joviandssIdentity(jovian, { name: pool?.name ?? "", driver }, index).namespace;
        })),
    ...(synology === undefined ? [] : [synologyIdentity(synology).namespace]),
  ];
}

/** The configuration generated for a new node, as far as the settings determine it. */
function generatedConfiguration(
  settings: GivenSettings,
  contract: string,
  role: "controlplane" | "worker",
): string | undefined {
  const { name, endpoint } = settings.cluster ?? {};
  return skeletonConfig(contract, role, {
    clusterName: name,
    endpoint: endpoint !== undefined && URL.canParse(endpoint) ? endpoint : undefined,
    kubernetesVersion: settings.kubernetesVersion,
  });
}

/** This program's own patches, as far as the settings are well formed; the rest is reported elsewhere. */
function programPatches(
  settings: GivenSettings,
  node: GivenNode,
  given: {
    role: "controlplane" | "worker";
    contract: string | undefined;
    namespaces: string[];
    hostname: string | undefined;
    base: string | undefined;
  },
): string[] {
  const { contract, base, role, namespaces, hostname } = given;
  const installerImage = givenInstaller(settings, node);
  const talosVersion = releaseOfNode(settings, node);
  if (contract === undefined || installerImage === undefined || talosVersion === undefined) return [];
  const subnets = (key: "podSubnets" | "serviceSubnets") =>
    baseShape.cluster.shape[key].safeParse(settings.cluster?.[key]).data;
  try {
    const own = ownPatches(
      {
        contract,
        talosVersion,
        role,
        hostname,
        installerImage,
        installDisk: node.installDisk,
        diskSelector: diskSelectorSchema.safeParse(node.diskSelector).data,
        network: networkSchema.safeParse(node.network).data,
        vip: vipSchema.safeParse(settings.cluster?.vip).data,
        exemptNamespaces: namespaces,
        kernelModules: usesIscsi(node) ? ["iscsi_tcp"] : [],
        labels: givenTexts(node.labels),
        taints: givenTexts(node.taints),
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

/** The taints that a worker would not join with because of its patches or its own file. */
function taintProblems(settings: GivenSettings, index: number, merged: readonly TreeMap[]): Problem[] {
  const node = givenNodes(settings)[index];
  const contract = contractOfSettings(settings);
  if (node?.role !== "worker" || contract === undefined || joinsWithTaints(contract)) return [];
  return Object.keys(givenTexts(node.taints)).flatMap((key): Problem[] => {
    const reason = registrationProblem(merged, key);
    return reason === undefined ? [] : [{ path: `cluster.nodes[${index}].taints.${key}`, reason }];
  });
}

function labelWarnings(settings: GivenSettings, node: GivenNode, merged: readonly TreeMap[]): string[] {
  const contract = contractOfSettings(settings);
  return contract === undefined ? [] : refusedUpdates(node, contract, merged);
}

/** Warnings about kernel arguments in `machine.install`. How a node boots is unknown here; the preflight refuses arguments that it would lose. */
function kernelArgumentWarnings(
  settings: GivenSettings,
  node: GivenNode,
  merged: readonly TreeMap[],
): string[] {
  const { args, grubUseUKICmdline } = installKernelArguments(merged);
  const version = releaseOfNode(settings, node);
  if (args.length === 0 || grubUseUKICmdline || version === undefined) return [];
  return advisories({
    // A new machine is installed with them; only the preflight knows what an existing one runs.
    from: settings.cluster?.secrets === undefined ? undefined : version,
    to: version,
    contract: contractOfSettings(settings) ?? newestUsableContract(version),
    extensions: [],
    installKernelArgs: args,
  })
    .filter(({ id }) => id.startsWith("kernel-arguments-"))
    .map(({ text, source }) => `${text} (${source})`);
}

function programDocuments(
  settings: GivenSettings,
  node: GivenNode,
  hostname: string | undefined,
): OurDocuments {
  const links = (node.network?.interfaces ?? []).map((link) => link?.interface);
  return {
    hostname: hostname !== undefined,
    subnets: (["podSubnets", "serviceSubnets"] as const).some((key) => settings.cluster?.[key] !== undefined),
    nameservers: (node.network?.nameservers ?? []).length > 0,
    vip: settings.cluster?.vip !== undefined && node.role === "controlplane",
    iscsi: usesIscsi(node),
    links: links.filter((name) => name !== undefined),
  };
}
