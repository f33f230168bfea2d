import { coded, type CodedText } from "./errorCodes.ts";
import { textOf, treeAt, type TreeMap } from "./configTree.ts";

/** The configuration contract stays where the cluster was created. */

/**
 * Why a contract must not change: undefined if it does not. Either direction is refused: a newer contract generates other encryption settings, an
 * older one takes them back, and either way kube-apiserver can no longer read its Secrets (siderolabs/talos#13885).
 * @param before the contract so far, such as `v1.12`
 * @param wanted the one that the settings ask for
 */
export function contractChange(before: string, wanted: string): CodedText | undefined {
  if (before === wanted) return undefined;
  return coded(
    "contract-change",
    `the configuration contract would change from ${before} to ${wanted}`,
    "It stays where the cluster was created: another contract generates other encryption settings, and kube-apiserver could no longer read its " +
      `Secrets (siderolabs/talos#13885). Set talosContract: ${before}; talosVersion alone moves the OS.`,
  );
}

const encryptionKeys = ["aescbcEncryptionSecret", "secretboxEncryptionSecret"];

/**
 * Why a configuration must not reach a control plane: it takes away a key that kube-apiserver needs to read its Secrets. Undefined if it does not.
 * This is what a changed contract comes to, and it holds without knowing the contract so far. A key that is only added is fine.
 * @param has the configuration that the node has
 * @param gets the one that it is to get
 */
export function encryptionLoss(has: readonly TreeMap[], gets: readonly TreeMap[]): CodedText | undefined {
  const lost = encryptionKeys.filter((key) => {
    const before = clusterText(has, key);
    return before !== undefined && before !== clusterText(gets, key);
  });
  if (lost.length === 0) return undefined;
  return coded(
    "encryption-keys",
    `cluster.${lost.join(" and cluster.")} would be replaced or removed, and kube-apiserver could no longer read its Secrets (siderolabs/talos#13885)`,
    "Set talosContract and cluster.secrets to what the cluster was created with.",
  );
}

function clusterText(documents: readonly TreeMap[], key: string): string | undefined {
  const main = documents.find((document) => textOf(document, "kind") === undefined);
  const value = textOf(treeAt(main, "cluster"), key);
  return value === "" ? undefined : value;
}
