import { coded, type CodedText } from "./errorCodes.ts";
import { textOf, treeAt, type TreeMap } from "./configTree.ts";

/** What a configuration must not change: the contract and the keys that the cluster was created with, and a node's role. */

/**
 * Why a contract must not change: undefined if it does not. Either direction is refused: a newer contract generates different encryption settings, an
 * older one removes them, and either way kube-apiserver can no longer read its Secrets (siderolabs/talos#13885).
 * @param before the current contract, such as `v1.12`
 * @param wanted the one in the settings
 */
export function contractChange(before: string, wanted: string): CodedText | undefined {
  if (before === wanted) return undefined;
  return coded(
    "contract-change",
    `the configuration contract would change from ${before} to ${wanted}`,
    "It must stay the one that the cluster was created with: another contract generates different encryption settings, and kube-apiserver could no " +
      `longer read its Secrets (siderolabs/talos#13885). Set talosContract: ${before}; to upgrade the OS, change only talosVersion.`,
  );
}

const encryptionKeys = ["aescbcEncryptionSecret", "secretboxEncryptionSecret"];

/**
 * Why a configuration must not reach a control plane: it removes a key that kube-apiserver needs to read its Secrets. Undefined if it does not.
 * This is the effect of a changed contract, and can be checked without knowing the current one. A key that is only added is fine.
 * @param has the node's current configuration
 * @param gets the new configuration
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

/**
 * Why a node must not get another role by a configuration: it is staged, and at the next boot a control plane would be gone without having left etcd. Undefined
 * if the role stays.
 */
export function roleChange(has: readonly TreeMap[], role: "controlplane" | "worker"): CodedText | undefined {
  const main = has.find((document) => textOf(document, "kind") === undefined);
  const type = textOf(treeAt(main, "machine"), "type") ?? "";
  const runs = type === "init" ? "controlplane" : type;
  if (runs === "" || runs === role) return undefined;
  return coded(
    "role-change",
    `the node is a ${runs}, and its role would change to ${role}`,
    "A machine changes its role only by a reset: remove the node with onRemove: reset, run `pulumi up`, and add it again.",
  );
}

function clusterText(documents: readonly TreeMap[], key: string): string | undefined {
  const main = documents.find((document) => textOf(document, "kind") === undefined);
  const value = textOf(treeAt(main, "cluster"), key);
  return value === "" ? undefined : value;
}
