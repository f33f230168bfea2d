/**
 * Converts the files of a running cluster's owner to what the Talos provider takes: a secrets bundle (`talosctl gen secrets`), a talosconfig, or the cluster's
 * `controlplane.yaml`. Errors name the path, never a value.
 */
import { isRecord } from "./values.ts";
import { coded } from "./errorCodes.ts";
import { LineCounter, parseAllDocuments } from "yaml";

/** A PEM pair, base64 as in the files. */
export interface CertificateAndKey {
  readonly cert: string;
  readonly key: string;
}

/** A cluster's secrets in the shape of the provider's type `talos:machine/generated:MachineSecrets`. */
export interface MachineSecrets {
  readonly cluster: { readonly id: string; readonly secret: string };
  readonly secrets: {
    readonly bootstrapToken: string;
    readonly secretboxEncryptionSecret: string;
    /** Only in clusters created before Talos 1.3. */
    readonly aescbcEncryptionSecret?: string;
  };
  readonly trustdinfo: { readonly token: string };
  readonly certs: {
    readonly etcd: CertificateAndKey;
    readonly k8s: CertificateAndKey;
    readonly k8sAggregator: CertificateAndKey;
    readonly k8sServiceaccount: { readonly key: string };
    readonly os: CertificateAndKey;
  };
}

/** The client credentials of one talosconfig context. Certificates and key are base64 PEM. */
export interface ClientCredentials {
  readonly context: string;
  readonly caCertificate: string;
  readonly clientCertificate: string;
  readonly clientKey: string;
  readonly endpoints: readonly string[];
  readonly nodes: readonly string[];
}

/** One problem in a file. */
export interface FileProblem {
  /** Its path: `certs.etcd.key`, or `line 4` for a file that is not YAML. */
  readonly path: string;
  readonly reason: string;
}

/** An unusable file; lists all of its problems at once. */
export class SecretsError extends Error {
  override readonly name = "SecretsError";
  readonly problems: readonly FileProblem[];

  constructor(what: string, problems: readonly FileProblem[]) {
    super(
      `${coded("secrets-file", `${what} cannot be used`)}:\n${problems.map(({ path, reason }) => `  ${path}: ${reason}`).join("\n")}`,
    );
    this.problems = problems;
  }
}

type Mapping = Readonly<Record<string, unknown>>;

/** Reads `secrets.yaml` as `talosctl gen secrets` writes it. */
export function parseSecretsBundle(text: string): MachineSecrets {
  const read = new Reader("the secrets bundle", firstDocument("the secrets bundle", text));
  const aescbc = read.optional("secrets.aescbcencryptionsecret");
  // Bundles of clusters created before Talos 1.3 have only the AES-CBC secret; the provider expects the other field.
  const secretbox =
    aescbc === undefined
      ? read.text("secrets.secretboxencryptionsecret")
      : (read.optional("secrets.secretboxencryptionsecret") ?? "");
  const secrets: MachineSecrets = {
    cluster: { id: read.text("cluster.id"), secret: read.text("cluster.secret") },
    secrets: {
      bootstrapToken: read.token("secrets.bootstraptoken"),
      secretboxEncryptionSecret: secretbox,
      ...(aescbc === undefined ? {} : { aescbcEncryptionSecret: aescbc }),
    },
    trustdinfo: { token: read.token("trustdinfo.token") },
    certs: {
      etcd: read.pair("certs.etcd", "crt"),
      k8s: read.pair("certs.k8s", "crt"),
      k8sAggregator: read.pair("certs.k8saggregator", "crt"),
      k8sServiceaccount: { key: read.pem("certs.k8sserviceaccount.key", "KEY") },
      os: read.pair("certs.os", "crt"),
    },
  };
  read.done();
  return secrets;
}

/** Reads one context of a talosconfig: the named one, or the file's current one. */
export function parseTalosconfig(text: string, context?: string): ClientCredentials {
  const what = "the talosconfig";
  const root = firstDocument(what, text);
  const name = context ?? root["context"];
  const contexts = isRecord(root["contexts"]) ? Object.keys(root["contexts"]) : [];
  if (typeof name !== "string" || name === "") {
    const known = contexts.length === 0 ? "" : ` (available: ${contexts.join(", ")})`;
    throw new SecretsError(what, [
      { path: "context", reason: `is not set, so no context is current${known}` },
    ]);
  }
  if (!contexts.includes(name)) {
    const known = contexts.length === 0 ? "there are none" : `available: ${contexts.join(", ")}`;
    throw new SecretsError(what, [{ path: `contexts.${name}`, reason: `no such context; ${known}` }]);
  }
  const read = new Reader(what, (root["contexts"] as Mapping)[name], `contexts.${name}.`);
  const credentials: ClientCredentials = {
    context: name,
    caCertificate: read.pem("ca", "CERTIFICATE"),
    clientCertificate: read.pem("crt", "CERTIFICATE"),
    clientKey: read.pem("key", "KEY"),
    endpoints: read.list("endpoints"),
    nodes: read.list("nodes"),
  };
  read.done();
  return credentials;
}

/**
 * Reads a cluster's secrets from a control plane's machine configuration. A worker's isn't enough: it has neither the CA keys nor etcd's. Since contract v1.14
 * most of them are in separate documents, as PEM.
 */
export function secretsFromMachineConfig(text: string): MachineSecrets {
  const what = "the machine configuration";
  const documents = allDocuments(what, text);
  const config = documents.find((document) => isRecord(document["machine"]));
  if (config === undefined) {
    throw new SecretsError(what, [{ path: "machine", reason: "no document with a machine section" }]);
  }
  if ((config["machine"] as Mapping)["type"] === "worker") {
    throw new SecretsError(what, [
      {
        path: "machine.type",
        reason: "is worker; a worker's configuration lacks the CA keys, so use a control plane's",
      },
    ]);
  }
  const read = new Reader(what, withKinds(config, documents));
  const encryption = encryptionPaths(documents);
  const aescbc = read.optional(encryption.aescbc);
  const has = (kind: string): boolean => documents.some((document) => document["kind"] === kind);
  const identity = has("DiscoveryIdentityConfig");
  const secrets: MachineSecrets = {
    cluster: {
      id: read.text(identity ? "DiscoveryIdentityConfig.clusterID" : "cluster.id"),
      secret: read.text(identity ? "DiscoveryIdentityConfig.clusterSecret" : "cluster.secret"),
    },
    secrets: {
      bootstrapToken: read.token("cluster.token"),
      secretboxEncryptionSecret:
        aescbc === undefined ? read.text(encryption.secretbox) : (read.optional(encryption.secretbox) ?? ""),
      ...(aescbc === undefined ? {} : { aescbcEncryptionSecret: aescbc }),
    },
    trustdinfo: { token: read.token("machine.token") },
    certs: {
      etcd: read.pair("cluster.etcd.ca", "crt"),
      k8s: has("KubeAPIServerCAConfig")
        ? read.pair("KubeAPIServerCAConfig.issuingCA", "cert")
        : read.pair("cluster.ca", "crt"),
      k8sAggregator: has("KubeAggregatorCAConfig")
        ? read.pair("KubeAggregatorCAConfig.issuingCA", "cert")
        : read.pair("cluster.aggregatorCA", "crt"),
      k8sServiceaccount: {
        key: read.pem(
          has("KubeServiceAccountConfig")
            ? "KubeServiceAccountConfig.issuer.privateKey"
            : "cluster.serviceAccount.key",
          "KEY",
        ),
      },
      os: read.pair("machine.ca", "crt"),
    },
  };
  read.done();
  return secrets;
}

/** The v1alpha1 document with the others as fields by kind, so that everything has a path. */
function withKinds(config: Mapping, documents: readonly Mapping[]): Mapping {
  return {
    ...Object.fromEntries(documents.map((document) => [String(document["kind"]), document])),
    ...config,
  };
}

// Since v1.14 the secrets that encrypt etcd are in a list of providers, each with a list of keys.
function encryptionPaths(documents: readonly Mapping[]): { secretbox: string; aescbc: string } {
  const document = documents.find(({ kind }) => kind === "KubeEtcdEncryptionConfig");
  if (document === undefined) {
    return { secretbox: "cluster.secretboxEncryptionSecret", aescbc: "cluster.aescbcEncryptionSecret" };
  }
  const at = (provider: string): string => {
    const resources = isRecord(document["config"]) ? document["config"]["resources"] : undefined;
    for (const [r, resource] of list(resources).entries()) {
      const providers = isRecord(resource) ? list(resource["providers"]) : [];
      const p = providers.findIndex((item) => isRecord(item) && item[provider] !== undefined);
      if (p >= 0)
        return `KubeEtcdEncryptionConfig.config.resources.${r}.providers.${p}.${provider}.keys.0.secret`;
    }
    return `KubeEtcdEncryptionConfig.config.resources.0.providers.0.${provider}.keys.0.secret`;
  };
  return { secretbox: at("secretbox"), aescbc: at("aescbc") };
}

function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

/** Reads fields by path and collects all problems, so that they are reported at once. */
class Reader {
  readonly #what: string;
  readonly #root: unknown;
  readonly #prefix: string;
  readonly #problems: FileProblem[] = [];

  constructor(what: string, root: unknown, prefix = "") {
    this.#what = what;
    this.#root = root;
    this.#prefix = prefix;
  }

  done(): void {
    if (this.#problems.length > 0) throw new SecretsError(this.#what, this.#problems);
  }

  optional(path: string): string | undefined {
    const value = this.#at(path);
    return value === undefined || value === null || value === "" ? undefined : this.text(path);
  }

  text(path: string): string {
    const value = this.#at(path);
    if (typeof value === "string" && value !== "") return value;
    return this.#bad(
      path,
      value === undefined || value === null || value === "" ? "is missing" : `is not text`,
    );
  }

  // Bootstrap and trustd tokens have kubeadm's format (siderolabs/talos generate/secrets).
  token(path: string): string {
    const value = this.text(path);
    if (value === "" || /^[^.\s]+\.[^.\s]+$/.test(value)) return value;
    return this.#bad(path, 'does not have the form "<id>.<secret>"');
  }

  pem(path: string, label: "CERTIFICATE" | "KEY"): string {
    const value = this.text(path);
    if (value === "") return value;
    // Newer documents contain plain PEM; the provider always takes base64 of it.
    if (value.includes("-----BEGIN "))
      return this.#labelled(path, value, Buffer.from(value).toString("base64"), label);
    const decoded = /^[A-Za-z0-9+/\s]+=*\s*$/.test(value)
      ? Buffer.from(value, "base64").toString("latin1")
      : "";
    return this.#labelled(path, decoded, value, label);
  }

  #labelled(path: string, pem: string, base64: string, label: "CERTIFICATE" | "KEY"): string {
    if (new RegExp(`-----BEGIN (?:[A-Z0-9]+ )*${label}-----`).test(pem)) return base64;
    return this.#bad(path, `is not base64 of a PEM ${label === "KEY" ? "private key" : "certificate"}`);
  }

  pair(path: string, certificate: string): CertificateAndKey {
    return { cert: this.pem(`${path}.${certificate}`, "CERTIFICATE"), key: this.pem(`${path}.key`, "KEY") };
  }

  list(path: string): readonly string[] {
    const value = this.#at(path);
    if (value === undefined || value === null) return [];
    if (Array.isArray(value) && value.every((item) => typeof item === "string")) return value;
    this.#bad(path, "is not a list of addresses");
    return [];
  }

  #at(path: string): unknown {
    let value = this.#root;
    for (const key of path.split(".")) {
      value = isRecord(value)
        ? value[key]
        : Array.isArray(value)
          ? (value as unknown[])[Number(key)]
          : undefined;
    }
    return value;
  }

  #bad(path: string, reason: string): string {
    const full = this.#prefix + path;
    if (!this.#problems.some((problem) => problem.path === full)) this.#problems.push({ path: full, reason });
    return "";
  }
}

function firstDocument(what: string, text: string): Mapping {
  const [first] = allDocuments(what, text);
  if (first === undefined) throw new SecretsError(what, [{ path: "line 1", reason: "the file is empty" }]);
  return first;
}

function allDocuments(what: string, text: string): Mapping[] {
  const lines = new LineCounter();
  const parsed = parseAllDocuments(text, { lineCounter: lines, prettyErrors: false });
  const documents = Array.isArray(parsed) ? parsed : [];
  const problems = documents.flatMap((document) =>
    // The parser's message may quote the file, so only its code and the line are passed on.
    document.errors.map(({ code, pos }) => ({
      path: `line ${lines.linePos(pos[0]).line}`,
      reason: `is not YAML (${code.toLowerCase().replaceAll("_", " ")})`,
    })),
  );
  if (problems.length > 0) throw new SecretsError(what, problems);
  const values = documents.map((document) => document.toJS() as unknown).filter((value) => value !== null);
  if (!values.every(isRecord)) {
    throw new SecretsError(what, [{ path: "line 1", reason: "is not a YAML mapping" }]);
  }
  return values;
}
