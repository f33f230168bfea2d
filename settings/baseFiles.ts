import type { Problem } from "../components/csi/problems.ts";
import { contractMismatch, identityProblems } from "../talos/clusterIdentity.ts";
import { ConfigTextError, parseConfig, textOf, type TreeMap } from "../talos/configTree.ts";
import type { MachineSecrets } from "../talos/secretsBundle.ts";
import { givesSource, readSource, type ReadFile, type Source } from "./files.ts";
import { givenNodes, type GivenSettings } from "./given.ts";
import { releaseOfNode } from "./parsable.ts";
import { contractAtLeast, versionAtLeast } from "../talos/version.ts";

type Role = "controlplane" | "worker";

/** Each node's existing machine configuration: its own file, or its role's. Undefined where one is generated. */
export function readBaseFiles(
  given: GivenSettings,
  readFile: ReadFile,
  problems: Problem[],
): (Source | undefined)[] {
  const secrets = given.cluster?.secrets;
  const section = secrets ?? {};
  const read = new Map<string, Source | undefined>();
  const ofRole = (role: Role): Source | undefined => {
    // A file shared by many nodes is read once, and its problems are reported once.
    if (!read.has(role)) read.set(role, readSource(section, role, "cluster.secrets", readFile, problems));
    return read.get(role);
  };
  const nodes = givenNodes(given);
  const bundle = givesSource(section, "bundle");
  const files = givesSource(section, "controlplane") || nodes.some((node) => givesSource(node, "config"));
  return nodes.map((node, index) => {
    const { role } = node;
    if (role === undefined) return undefined; // the schema reports it
    const path = `cluster.nodes[${index}]`;
    if (givesSource(node, "config")) {
      if (secrets === undefined) {
        const reason =
          "has a machine configuration, but the cluster is new; for a running cluster, set cluster.secrets with its talosconfig";
        problems.push({ path, reason });
      }
      return readSource(node, "config", path, readFile, problems);
    }
    if (givesSource(section, role)) return ofRole(role);
    if (files && !bundle) {
      const reason = `is a ${role} without a machine configuration; set cluster.secrets.${role}File, or the node's own configFile`;
      problems.push({ path, reason });
    }
    return undefined;
  });
}

/** Problems of the nodes' machine configurations: wrong cluster, role or contract. */
export function checkBaseFiles(
  given: GivenSettings,
  sources: readonly (Source | undefined)[],
  secrets: MachineSecrets | undefined,
  contract: string | undefined,
): Problem[] {
  const nodes = givenNodes(given);
  return sources.flatMap((source, index) => {
    const role = nodes[index]?.role;
    if (source === undefined || role === undefined) return [];
    const say = (path: string, reason: string): Problem => ({
      path: source.path,
      reason: `${path}: ${reason}`,
    });
    let documents: readonly TreeMap[];
    try {
      documents = parseConfig(source.text);
    } catch (error) {
      if (!(error instanceof ConfigTextError)) throw error;
      return [{ path: source.path, reason: error.message }];
    }
    // Talos 1.14 and newer read documents that are newer than the cluster's contract, so the file may contain them.
    const version = releaseOfNode(given, nodes[index] ?? {});
    const readsAll = version !== undefined && versionAtLeast(version, 14);
    const shape =
      contract === undefined || (readsAll && !contractAtLeast(contract, 14))
        ? undefined
        : contractMismatch(documents, contract);
    return [
      ...(secrets === undefined
        ? []
        : identityProblems(documents, role, secrets).map(({ path, reason }) => say(path, reason))),
      ...(shape === undefined
        ? []
        : [{ path: "talosContract", reason: `is ${contract}, but ${source.path} ${shape}` }]),
      ...endpointProblems(given, documents, source),
    ];
  });
}

/** Credentials and new nodes use the endpoint of the settings, so the files have to agree with it. */
function endpointProblems(given: GivenSettings, documents: readonly TreeMap[], source: Source): Problem[] {
  const wanted = given.cluster?.endpoint;
  const has = documents
    .map((document) => textOf(document, "cluster", "controlPlane", "endpoint"))
    .find(Boolean);
  if (wanted === undefined || has === undefined || sameUrl(wanted, has)) return [];
  // An address, not a secret.
  return [{ path: "cluster.endpoint", reason: `is ${wanted}, but ${source.path} has ${has}` }];
}

function sameUrl(a: string, b: string): boolean {
  const [one, other] = [a, b].map((text) => URL.parse(text)?.href.replace(/\/$/, "") ?? text);
  return one === other;
}
