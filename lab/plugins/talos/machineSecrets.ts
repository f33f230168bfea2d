import { parse, stringify } from "yaml";
import { requireObject, requireText, readText } from "../read.ts";
import { isObject, secret } from "../values.ts";
import type { Properties, PropertyValue } from "../values.ts";

interface Leaf {
  /** Its path in a secrets bundle (`talosctl gen secrets`). */
  bundle: readonly [string, ...string[]];
  /** Its path in the provider's `machineSecrets`. */
  property: readonly [string, ...string[]];
  /** Certificates and the cluster ID are public, as in the provider's schema. */
  public?: true;
  optional?: true;
}

const keyPair = (bundle: string, property: string): Leaf[] => [
  { bundle: ["certs", bundle, "crt"], property: ["certs", property, "cert"], public: true },
  { bundle: ["certs", bundle, "key"], property: ["certs", property, "key"] },
];

const LEAVES: readonly Leaf[] = [
  { bundle: ["cluster", "id"], property: ["cluster", "id"], public: true },
  { bundle: ["cluster", "secret"], property: ["cluster", "secret"] },
  { bundle: ["secrets", "bootstraptoken"], property: ["secrets", "bootstrapToken"] },
  {
    bundle: ["secrets", "secretboxencryptionsecret"],
    property: ["secrets", "secretboxEncryptionSecret"],
    optional: true,
  },
  // Clusters created before Talos 1.3 have this key instead of the secretbox key.
  {
    bundle: ["secrets", "aescbcencryptionsecret"],
    property: ["secrets", "aescbcEncryptionSecret"],
    optional: true,
  },
  { bundle: ["trustdinfo", "token"], property: ["trustdinfo", "token"] },
  ...keyPair("etcd", "etcd"),
  ...keyPair("k8s", "k8s"),
  ...keyPair("k8saggregator", "k8sAggregator"),
  { bundle: ["certs", "k8sserviceaccount", "key"], property: ["certs", "k8sServiceaccount", "key"] },
  ...keyPair("os", "os"),
];

/** Converts a secrets bundle to the provider's `machineSecrets`, with secrets marked. */
export function machineSecretsFromBundle(yaml: string): Properties {
  // The parser's own message would quote the faulty line, which may contain a key.
  let bundle: unknown;
  try {
    bundle = parse(yaml);
  } catch {
    throw new Error("the secrets bundle is not YAML");
  }
  if (!isObject(bundle as PropertyValue)) {
    throw new Error("the secrets bundle is not a YAML mapping");
  }
  const secrets: Properties = {};
  for (const leaf of LEAVES) {
    const value = readLeaf(bundle as Properties, leaf.bundle, leaf.optional);
    if (value !== undefined) {
      writeLeaf(secrets, leaf.property, leaf.public === true ? value : secret(value));
    }
  }
  return secrets;
}

/** The reverse: what `talosctl gen config --with-secrets` reads. */
export function bundleFromMachineSecrets(machineSecrets: Properties): string {
  const bundle: Properties = {};
  for (const leaf of LEAVES) {
    const value = readLeaf(machineSecrets, leaf.property, leaf.optional);
    if (value !== undefined) {
      writeLeaf(bundle, leaf.bundle, value);
    }
  }
  return stringify(bundle, { lineWidth: 0 });
}

function readLeaf(
  from: Properties,
  path: readonly [string, ...string[]],
  optional: true | undefined,
): string | undefined {
  const [head, ...rest] = path;
  const [next, ...tail] = rest;
  if (next !== undefined) {
    return withinParent(head, () => readLeaf(requireObject(from, head), [next, ...tail], optional));
  }
  return optional === true ? readText(from, head) : requireText(from, head);
}

/** Prefixes errors of a child with the parent's name. */
function withinParent<T>(parent: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    throw new Error(message.startsWith(`${parent}:`) ? message : `${parent}.${message}`, { cause: error });
  }
}

function writeLeaf(to: Properties, path: readonly [string, ...string[]], value: PropertyValue): void {
  const [head, ...rest] = path;
  const [next, ...tail] = rest;
  if (next === undefined) {
    to[head] = value;
    return;
  }
  const existing = to[head];
  const child: Properties = isObject(existing) ? existing : {};
  to[head] = child;
  writeLeaf(child, [next, ...tail], value);
}
