import { mkdirSync, writeFileSync } from "node:fs";
import { isIP } from "node:net";
import { join } from "node:path";
import { stringify } from "yaml";
import { type Authority, issueLeaf, type LeafRequest, loadAuthority, pemText, publicKeyPem } from "../pki.ts";
import type { ControlPlaneSettings } from "./configuration.ts";

/** The CAs of a cluster, ready to issue certificates. */
export interface Authorities {
  readonly kubernetes: Authority;
  readonly aggregator: Authority;
  readonly etcd: Authority;
}

/** Loads the CAs from the machine configuration. */
export async function loadAuthorities(settings: ControlPlaneSettings): Promise<Authorities> {
  const [kubernetes, aggregator, etcd] = await Promise.all([
    loadAuthority(settings.ca),
    loadAuthority(settings.aggregatorCA),
    loadAuthority(settings.etcdCA),
  ]);
  return { kubernetes, aggregator, etcd };
}

/** Writes secrets into one folder that only its owner can read. */
export class SecretFolder {
  readonly directory: string;

  constructor(directory: string) {
    this.directory = directory;
    mkdirSync(directory, { recursive: true, mode: 0o700 });
  }

  path(name: string): string {
    return join(this.directory, name);
  }

  write(name: string, content: string): string {
    writeFileSync(this.path(name), content, { mode: 0o600 });
    return this.path(name);
  }

  /** Issues a certificate as <name>.crt and <name>.key. */
  async issue(name: string, authority: Authority, request: LeafRequest): Promise<void> {
    const leaf = await issueLeaf(authority, request);
    this.write(`${name}.crt`, leaf.certificate);
    this.write(`${name}.key`, leaf.key);
  }
}

/** Everything that etcd and the components share and that doesn't change with the applied configuration. */
export async function writeClusterSecrets(
  folder: SecretFolder,
  settings: ControlPlaneSettings,
  authorities: Authorities,
  address: string,
): Promise<void> {
  folder.write("ca.crt", authorities.kubernetes.pem);
  folder.write("ca.key", pemText(settings.ca.key));
  folder.write(
    "client-ca.crt",
    [authorities.kubernetes.pem, ...settings.acceptedCAs.map(pemText)].join("\n"),
  );
  folder.write("aggregator-ca.crt", authorities.aggregator.pem);
  folder.write("etcd-ca.crt", authorities.etcd.pem);
  folder.write("service-account.key", pemText(settings.serviceAccountKey));
  folder.write("service-account.pub", publicKeyPem(settings.serviceAccountKey));
  folder.write(
    "encryption.yaml",
    stringify({
      apiVersion: "apiserver.config.k8s.io/v1",
      kind: "EncryptionConfiguration",
      resources: settings.encryption,
    }),
  );
  await Promise.all([
    folder.issue("etcd", authorities.etcd, {
      commonName: "etcd",
      usages: ["server", "client"],
      dnsNames: ["localhost"],
      ipAddresses: [address],
    }),
    folder.issue("etcd-client", authorities.etcd, { commonName: "kube-apiserver", usages: ["client"] }),
    folder.issue("kubelet-client", authorities.kubernetes, {
      commonName: "apiserver-kubelet-client",
      organizations: ["system:masters"],
      usages: ["client"],
    }),
    folder.issue("front-proxy", authorities.aggregator, {
      commonName: "front-proxy-client",
      usages: ["client"],
    }),
  ]);
}

/** Issues kube-apiserver's certificate for the names and addresses that Talos would put in it. */
export async function issueServingCertificate(
  folder: SecretFolder,
  name: string,
  settings: ControlPlaneSettings,
  authority: Authority,
  address: string,
  extraNames: readonly string[],
): Promise<void> {
  const names = new Set([
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    `kubernetes.default.svc.${settings.dnsDomain}`,
    "localhost",
    settings.endpoint.hostname.replace(/^\[|\]$/g, ""),
    address,
    ...settings.serviceSubnets.filter((subnet) => subnet.includes(".")).map(firstAddress),
    ...settings.apiServer.certSANs,
    ...extraNames,
  ]);
  await folder.issue(name, authority, {
    commonName: "kube-apiserver",
    organizations: ["kube-master"],
    usages: ["server"],
    dnsNames: [...names].filter((value) => isIP(value) === 0),
    ipAddresses: [...names].filter((value) => isIP(value) !== 0),
  });
}

/** The first usable address of an IPv4 network: that of the Service "kubernetes". */
function firstAddress(subnet: string): string {
  const octets = (subnet.split("/")[0] ?? "").split(".").map(Number);
  octets[3] = (octets[3] ?? 0) + 1;
  return octets.join(".");
}

/** A kubeconfig for a user of the cluster, with its own certificate. */
export async function issueKubeconfig(
  settings: ControlPlaneSettings,
  authority: Authority,
  user: { name: string; organizations?: readonly string[] },
  server: string,
): Promise<string> {
  const leaf = await issueLeaf(authority, {
    commonName: user.name,
    organizations: user.organizations ?? [],
    usages: ["client"],
  });
  const base64 = (text: string) => Buffer.from(text).toString("base64");
  const context = `${user.name}@${settings.clusterName}`;
  return stringify({
    apiVersion: "v1",
    kind: "Config",
    clusters: [
      {
        name: settings.clusterName,
        cluster: { server, "certificate-authority-data": base64(authority.pem) },
      },
    ],
    users: [
      {
        name: context,
        user: { "client-certificate-data": base64(leaf.certificate), "client-key-data": base64(leaf.key) },
      },
    ],
    contexts: [
      { name: context, context: { cluster: settings.clusterName, user: context, namespace: "default" } },
    ],
    "current-context": context,
  });
}
