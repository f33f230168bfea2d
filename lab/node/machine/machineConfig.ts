import { status } from "@grpc/grpc-js";
import semver from "semver";
import { parseAllDocuments } from "yaml";
import { CallFailure } from "./failure.ts";
import type { Mirrors } from "./images.ts";

type Json = Record<string, unknown>;

/** The parts of a machine configuration that a node acts on. */
export interface MachineConfig {
  /** The text as applied. */
  readonly text: string;
  readonly documents: Json[];
  readonly role: "controlplane" | "worker";
  readonly clusterName: string;
  readonly clusterId: string;
  readonly endpoint: string;
  readonly hostname: string | undefined;
  readonly machineCa: { crt: string; key: string | undefined };
  readonly acceptedCas: string[];
  readonly clusterCa: { crt: string; key: string } | undefined;
  readonly acceptedClusterCas: string[];
  readonly certSans: string[];
  readonly installImage: string | undefined;
  readonly extraKernelArgs: string[];
  /** GRUB uses the image's kernel arguments. */
  readonly grubUseUKICmdline: boolean;
  readonly kernelModules: string[];
  readonly kubernetesVersion: string | undefined;
  readonly cniName: string;
  /** Runs instead of the etcd that comes with Talos. */
  readonly etcdImage: string | undefined;
  readonly mirrors: Mirrors;
}

const objectAt = (value: unknown, ...path: string[]): Json => {
  const found = at(value, ...path);
  return found !== null && typeof found === "object" && !Array.isArray(found) ? (found as Json) : {};
};

function at(value: unknown, ...path: string[]): unknown {
  return path.reduce<unknown>(
    (current, key) => (current !== null && typeof current === "object" ? (current as Json)[key] : undefined),
    value,
  );
}

const textAt = (value: unknown, ...path: string[]): string | undefined => {
  const found = at(value, ...path);
  return typeof found === "string" && found !== "" ? found : undefined;
};

const listAt = (value: unknown, ...path: string[]): unknown[] => {
  const found = at(value, ...path);
  return Array.isArray(found) ? found : [];
};

/** Known keys, by path. A plain decoder would silently drop any other key; Talos rejects it. */
const knownKeys: Record<string, string> = {
  "": "version debug persist machine cluster",
  machine:
    "type token ca acceptedCAs certSANs controlPlane kubelet pods network disks install files env time sysctls sysfs " +
    "registries systemDiskEncryption features udev logging kernel seccompProfiles baseRuntimeSpecOverrides nodeLabels " +
    "nodeAnnotations nodeTaints",
  "machine.install":
    "disk diskSelector extraKernelArgs image extensions bootloader wipe legacyBIOSSupport grubUseUKICmdline",
  "machine.kernel": "modules",
  cluster:
    "id secret controlPlane clusterName network token aescbcEncryptionSecret secretboxEncryptionSecret ca acceptedCAs " +
    "aggregatorCA serviceAccount apiServer controllerManager proxy scheduler discovery etcd coreDNS " +
    "externalCloudProvider extraManifests extraManifestHeaders inlineManifests adminKubeconfig " +
    "allowSchedulingOnControlPlanes allowSchedulingOnMasters",
  "cluster.apiServer":
    "image extraArgs extraVolumes env certSANs disablePodSecurityPolicy admissionControl auditPolicy resources " +
    "authorizationConfig",
};

/** Documents that only newer releases support, with their first release. */
const documentSince: Record<string, string> = {
  KubeAdmissionControlConfig: "1.14.0-0",
  KernelModuleConfig: "1.14.0-0",
  UnattendedInstallConfig: "1.14.0-0",
  SecurityProfileConfig: "1.14.0-0",
};

function invalid(problems: string[]): CallFailure {
  const count = problems.length === 1 ? "1 error" : `${problems.length} errors`;
  return new CallFailure(
    status.INVALID_ARGUMENT,
    `${count} occurred:\n${problems.map((problem) => `\t* ${problem}\n`).join("")}\n`,
  );
}

function decode(text: string, talosVersion: string): Json[] {
  const documents: Json[] = [];
  for (const document of parseAllDocuments(text)) {
    if (!("errors" in document)) continue;
    const error = document.errors[0];
    if (error !== undefined) throw new CallFailure(status.INVALID_ARGUMENT, `yaml: ${error.message}`);
    const content: unknown = document.toJS();
    if (content === null) continue;
    if (typeof content !== "object" || Array.isArray(content)) {
      throw new CallFailure(status.INVALID_ARGUMENT, "a machine configuration document has to be a mapping");
    }
    documents.push(content as Json);
  }
  for (const { kind, apiVersion } of documents) {
    const since = typeof kind === "string" ? documentSince[kind] : undefined;
    if (since !== undefined && semver.lt(talosVersion, since)) {
      throw new CallFailure(
        status.INVALID_ARGUMENT,
        `error decoding document: "${String(kind)}" "${String(apiVersion)}": not registered`,
      );
    }
  }
  return documents;
}

/**
 * Reads a configuration as Talos does when it is applied, and rejects what Talos rejects.
 * @param installed if false, the configuration must say where to install
 * @throws CallFailure with all problems
 */
export function parseMachineConfig(text: string, talosVersion: string, installed: boolean): MachineConfig {
  const documents = decode(text, talosVersion);
  const main = documents.find(
    (document) => document["kind"] === undefined && document["version"] === "v1alpha1",
  );
  if (main === undefined) {
    throw new CallFailure(
      status.INVALID_ARGUMENT,
      "the applied machine configuration doesn't contain v1alpha1 config, did you mean to patch the machine config instead?",
    );
  }
  const ofKind = (kind: string): Json[] => documents.filter((document) => document["kind"] === kind);
  const problems = [...unknownKeys(main), ...duplicates(documents), ...admissionProblems(main, ofKind)];
  const machine = objectAt(main, "machine");
  const cluster = objectAt(main, "cluster");
  const install = objectAt(machine, "install");
  const unattended = ofKind("UnattendedInstallConfig")[0];
  const type = textAt(machine, "type");
  const isControlPlane = type === "controlplane" || type === "init";
  const clusterCa = objectAt(cluster, "ca");
  const machineCa = textAt(machine, "ca", "crt");
  const endpoint = textAt(cluster, "controlPlane", "endpoint");

  if (!isControlPlane && type !== "worker")
    problems.push(`unknown machine type "${type ?? ""}" (.machine.type)`);
  if (machineCa === undefined) problems.push("issuing CA or some accepted CAs are required (.machine.ca)");
  if (isControlPlane && textAt(machine, "ca", "key") === undefined) {
    problems.push("issuing Talos API CA key is required (.machine.ca.key)");
  }
  if (isControlPlane && textAt(clusterCa, "key") === undefined) {
    problems.push("issuing Kubernetes CA key is required (.cluster.ca.key)");
  }
  if (endpoint === undefined)
    problems.push("cluster controlplane endpoint is required (.cluster.controlPlane.endpoint)");
  else if (!URL.canParse(endpoint)) problems.push(`invalid cluster endpoint "${endpoint}"`);
  if (unattended !== undefined && machine["install"] !== undefined) {
    problems.push("UnattendedInstallConfig is incompatible with v1alpha1 config (.machine.install)");
  }
  if (!installed && unattended === undefined) {
    if (machine["install"] === undefined)
      problems.push("install instructions are required (.machine.install)");
    else if (install["disk"] === undefined && install["diskSelector"] === undefined) {
      problems.push("either install disk or diskSelector should be defined (.machine.install.disk)");
    }
  }
  if (listAt(install, "extraKernelArgs").length > 0 && install["grubUseUKICmdline"] === true) {
    problems.push("install.extraKernelArgs and install.grubUseUKICmdline can't be used together");
  }
  if (problems.length > 0) throw invalid(problems);

  return {
    text,
    documents,
    role: isControlPlane ? "controlplane" : "worker",
    clusterName: textAt(cluster, "clusterName") ?? "",
    clusterId: textAt(cluster, "id") ?? "",
    endpoint: endpoint ?? "",
    hostname: textAt(ofKind("HostnameConfig")[0], "hostname") ?? textAt(machine, "network", "hostname"),
    machineCa: { crt: machineCa ?? "", key: textAt(machine, "ca", "key") },
    acceptedCas: listAt(machine, "acceptedCAs").flatMap((ca) => textAt(ca, "crt") ?? []),
    clusterCa:
      textAt(clusterCa, "key") === undefined
        ? undefined
        : { crt: textAt(clusterCa, "crt") ?? "", key: textAt(clusterCa, "key") ?? "" },
    acceptedClusterCas: listAt(cluster, "acceptedCAs").flatMap((ca) => textAt(ca, "crt") ?? []),
    certSans: listAt(machine, "certSANs").filter((san) => typeof san === "string"),
    installImage: textAt(unattended, "installer", "image") ?? textAt(install, "image"),
    extraKernelArgs: listAt(install, "extraKernelArgs").map(String),
    grubUseUKICmdline: unattended !== undefined || install["grubUseUKICmdline"] === true,
    kernelModules: [...listAt(machine, "kernel", "modules"), ...ofKind("KernelModuleConfig")].flatMap(
      (module) => textAt(module, "name") ?? [],
    ),
    kubernetesVersion: /:v(\d+\.\d+\.\d+\S*)$/.exec(textAt(machine, "kubelet", "image") ?? "")?.[1],
    etcdImage: textAt(cluster, "etcd", "image"),
    cniName: textAt(cluster, "network", "cni", "name") ?? "flannel",
    mirrors: readMirrors(machine, ofKind("RegistryMirrorConfig")),
  };
}

function unknownKeys(main: Json): string[] {
  return Object.entries(knownKeys).flatMap(([path, keys]) => {
    const known = keys.split(" ");
    const value = path === "" ? main : objectAt(main, ...path.split("."));
    return Object.keys(value)
      .filter((key) => !known.includes(key))
      .map((key) => `unknown keys found during decoding: ${path === "" ? key : `${path}.${key}`}`);
  });
}

function duplicates(documents: Json[]): string[] {
  const seen = new Set<string>();
  return documents.flatMap((document) => {
    const name = [document["apiVersion"] ?? document["version"], document["kind"], document["name"]]
      .filter((part) => typeof part === "string")
      .join("/");
    if (!seen.has(name)) {
      seen.add(name);
      return [];
    }
    return [`duplicate document: ${name}`];
  });
}

/** Admission control may be configured in only one of its two places, and only on machines with an API server. */
function admissionProblems(main: Json, ofKind: (kind: string) => Json[]): string[] {
  const inline = listAt(main, "cluster", "apiServer", "admissionControl");
  const documents = ofKind("KubeAdmissionControlConfig");
  const names = inline.map((plugin) => textAt(plugin, "name") ?? "");
  const twice = names.filter((name, index) => names.indexOf(name) !== index);
  return [
    ...twice.map((name) => `duplicate admission plugin "${name}" (.cluster.apiServer.admissionControl)`),
    ...(inline.length > 0 && documents.length > 0
      ? [
          "KubeAdmissionControlConfig can't be used with v1alpha1 config (.cluster.apiServer.admissionControl)",
        ]
      : []),
    ...(documents.length > 0 && textAt(main, "machine", "type") === "worker"
      ? ["KubeAdmissionControlConfig is only allowed on control plane machines"]
      : []),
  ];
}

function readMirrors(machine: Json, documents: Json[]): Mirrors {
  const mirrors: Mirrors = {};
  for (const [registry, value] of Object.entries(objectAt(machine, "registries", "mirrors"))) {
    mirrors[registry] = listAt(value, "endpoints").map(String);
  }
  for (const document of documents) {
    const registry = textAt(document, "name");
    if (registry === undefined) continue;
    mirrors[registry] = listAt(document, "endpoints").flatMap((endpoint) => textAt(endpoint, "url") ?? []);
  }
  return mirrors;
}
