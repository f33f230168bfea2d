/**
 * What Talos's machinery generates for a new cluster, per contract, with marks for everything that is still unknown: the preview applies patches to it before
 * there are secrets. `npm run skeletons` writes the data; test/lab/skeletons.test.ts compares it with the machinery.
 */
import { configText, isLeaf, isTreeList, parseConfig, type Tree } from "./configTree.ts";
import type { MachineSecrets } from "./secretsBundle.ts";
import skeletons from "./skeletons.json" with { type: "json" };

/** What a skeleton leaves open. */
export interface SkeletonValues {
  readonly clusterName?: string | undefined;
  /** `https://10.0.0.10:6443` */
  readonly endpoint?: string | undefined;
  /** `v1.35.4` */
  readonly kubernetesVersion?: string | undefined;
  readonly machineSecrets?: MachineSecrets | undefined;
}

type Role = "controlplane" | "worker";

const MARK = /<([\w.]+)(\|pem)?>/g;

/** The generated configuration of a contract, with the values filled in; marks stay for the others. Undefined for an unknown contract. */
export function skeletonConfig(
  contract: string,
  role: Role,
  values: SkeletonValues = {},
): string | undefined {
  const lines = skeletonLines(contract, role);
  return lines === undefined ? undefined : fillLines(lines, valuesByMark(values));
}

function skeletonLines(contract: string, role: Role): readonly string[] | undefined {
  return (skeletons as Readonly<Record<string, Record<Role, readonly string[]>>>)[contract]?.[role];
}

function fillLines(lines: readonly string[], values: ReadonlyMap<string, string>): string {
  return configText(parseConfig(lines.join("\n")).map((document) => fillTree(document, values)));
}

/**
 * The complete generated configuration of a contract. Throws if a value that the contract needs is missing.
 * @param values everything that a skeleton leaves open
 */
export function generatedConfig(contract: string, role: Role, values: SkeletonValues): string {
  const lines = skeletonLines(contract, role);
  if (lines === undefined)
    throw new Error(`no machine configuration can be generated for contract ${contract}`);
  const known = valuesByMark(values);
  const marks = [...lines.join("\n").matchAll(MARK)].map(([, name]) => `<${name}>`);
  const missing = [...new Set(marks)].filter((mark) => (known.get(mark) ?? "") === "");
  if (missing.length > 0)
    throw new Error(`a machine configuration of contract ${contract} needs ${missing.join(", ")}`);
  return fillLines(lines, known);
}

/** The secrets of a bundle, by their marks. */
export function secretMarks(secrets: MachineSecrets): ReadonlyMap<string, string> {
  const { certs } = secrets;
  const pairs = { etcd: certs.etcd, k8s: certs.k8s, k8sAggregator: certs.k8sAggregator, os: certs.os };
  return new Map([
    ["<cluster.id>", secrets.cluster.id],
    ["<cluster.secret>", secrets.cluster.secret],
    ["<secrets.bootstrapToken>", secrets.secrets.bootstrapToken],
    ["<secrets.secretboxEncryptionSecret>", secrets.secrets.secretboxEncryptionSecret],
    ["<trustdinfo.token>", secrets.trustdinfo.token],
    ...Object.entries(pairs).flatMap(([name, { cert, key }]): [string, string][] => [
      [`<certs.${name}.cert>`, cert],
      [`<certs.${name}.key>`, key],
    ]),
    ["<certs.k8sServiceaccount.key>", certs.k8sServiceaccount.key],
  ]);
}

function valuesByMark({
  clusterName,
  endpoint,
  kubernetesVersion,
  machineSecrets,
}: SkeletonValues): Map<string, string> {
  const host = endpoint === undefined ? undefined : URL.parse(endpoint)?.hostname.replace(/^\[|\]$/g, "");
  const plain = {
    "<clusterName>": clusterName,
    "<endpoint>": endpoint,
    "<endpointHost>": host,
    "<kubernetesVersion>": kubernetesVersion?.replace(/^v/, ""),
  };
  return new Map([
    ...Object.entries(plain).filter((entry): entry is [string, string] => entry[1] !== undefined),
    ...(machineSecrets === undefined ? [] : secretMarks(machineSecrets)),
  ]);
}

function fillTree(tree: Tree, values: ReadonlyMap<string, string>): Tree {
  if (isTreeList(tree)) return tree.map((item) => fillTree(item, values));
  if (!isLeaf(tree)) return new Map([...tree].map(([key, value]) => [key, fillTree(value, values)]));
  // `|pem`: decoded, since the documents of v1.14 contain plain certificates and keys.
  const text = tree.text.replace(MARK, (mark, name: string, pem?: string) => {
    const value = values.get(`<${name}>`);
    if (value === undefined) return mark;
    return pem === undefined ? value : Buffer.from(value, "base64").toString("utf8");
  });
  return text === tree.text ? tree : { text, plain: false };
}
