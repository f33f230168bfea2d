/** Checks that files belong to the same cluster before anything is sent to a node. Reasons name paths, never values. */
import { X509Certificate } from "node:crypto";
import { KINDS_SINCE_1_14 } from "./documentKinds.ts";
import { isTreeList, textOf, treeAt, type TreeMap } from "./configTree.ts";
import { configurationForms } from "./features.ts";
import type { ClientCredentials, MachineSecrets } from "./secretsBundle.ts";

/**
 * Why a talosconfig doesn't belong to the cluster with these secrets; undefined if it does, or if one of the certificates can't be read, which connecting will
 * report.
 * @param accepted further CAs the cluster accepts, base64 of PEM: during a CA rotation
 */
export function talosconfigMismatch(
  client: Pick<ClientCredentials, "caCertificate" | "clientCertificate">,
  osCertificate: string,
  accepted: readonly string[] = [],
): string | undefined {
  const leaf = parseCertificate(client.clientCertificate);
  const authorities = [osCertificate, ...accepted]
    .map(parseCertificate)
    .filter((authority) => authority !== undefined);
  if (leaf === undefined || authorities.length === 0) return undefined;
  return authorities.some((authority) => isSignedBy(authority, leaf))
    ? undefined
    : "its client certificate was not signed by the cluster's machine CA";
}

/** All evidence that a node's machine configuration is not of this cluster, or not for this role. */
export function identityProblems(
  documents: readonly TreeMap[],
  role: "controlplane" | "worker",
  secrets: MachineSecrets,
): { path: string; reason: string }[] {
  const main = documents.find((document) => treeAt(document, "machine") !== undefined);
  if (main === undefined) return [{ path: "machine", reason: "no document with a machine section" }];
  const problems: { path: string; reason: string }[] = [];
  const type = textOf(main, "machine", "type");
  const types = role === "worker" ? ["worker"] : ["controlplane", "init"];
  if (type === undefined || !types.includes(type)) {
    problems.push({
      path: "machine.type",
      reason: `is ${type === undefined ? "missing" : JSON.stringify(type)}, but the node's role is ${role}`,
    });
  }
  const identity = documents.find((document) => textOf(document, "kind") === "DiscoveryIdentityConfig");
  const compared: [path: string, value: string | undefined, expected: string][] = [
    ["cluster.id", textOf(main, "cluster", "id"), secrets.cluster.id],
    ["DiscoveryIdentityConfig.clusterID", textOf(identity, "clusterID"), secrets.cluster.id],
    ["machine.token", textOf(main, "machine", "token"), secrets.trustdinfo.token],
    ["cluster.token", textOf(main, "cluster", "token"), secrets.secrets.bootstrapToken],
    ["machine.ca.crt", textOf(main, "machine", "ca", "crt"), secrets.certs.os.cert],
    ["cluster.ca.crt", textOf(main, "cluster", "ca", "crt"), secrets.certs.k8s.cert],
  ];
  const foreign = compared.filter(([, value, expected]) => value !== undefined && value !== expected);
  return [
    ...problems,
    ...foreign.map(([path]) => ({
      path,
      reason: "does not match the cluster's secrets: the file belongs to another cluster",
    })),
  ];
}

/** CAs that a machine configuration accepts besides its own, base64 of PEM. */
export function acceptedAuthorities(documents: readonly TreeMap[]): string[] {
  const lists = documents.map((document) => treeAt(document, "machine", "acceptedCAs"));
  return lists.flatMap((list) => (isTreeList(list) ? list.flatMap((item) => textOf(item, "crt") ?? []) : []));
}

/** Why a machine configuration doesn't have a contract's format: the node would reject patches in the other format. */
export function contractMismatch(documents: readonly TreeMap[], contract: string): string | undefined {
  const kinds = documents.flatMap((document) => textOf(document, "kind") ?? []);
  const newer = kinds.find((kind) => KINDS_SINCE_1_14.has(kind));
  const inDocuments = configurationForms(contract).install === "UnattendedInstallConfig";
  if (newer !== undefined && !inDocuments) return `has a document ${newer}, which exists only since v1.14`;
  const install = documents.some((document) => treeAt(document, "machine", "install") !== undefined);
  return inDocuments && install ? "has machine.install, which exists only up to v1.13" : undefined;
}

function parseCertificate(base64: string): X509Certificate | undefined {
  try {
    return new X509Certificate(Buffer.from(base64, "base64"));
  } catch {
    return undefined;
  }
}

function isSignedBy(authority: X509Certificate, leaf: X509Certificate): boolean {
  try {
    return leaf.checkIssued(authority) && leaf.verify(authority.publicKey);
  } catch {
    return false; // keys of another type
  }
}
