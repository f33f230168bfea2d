import { parseSettings, SettingsError, type Problem, type Settings } from "../../../config.ts";

/** Minimal valid settings, as in a stack's file. */
export function minimalSettings(): Record<string, unknown> {
  return {
    talosVersion: "v1.13.9",
    cluster: {
      name: "dev",
      endpoint: "https://10.0.0.10:6443",
      nodes: [{ name: "cp1", address: "10.0.0.11", role: "controlplane" }],
    },
  };
}

/** A typical cluster: three control planes and two workers. */
export function usualSettings(): Record<string, unknown> {
  return withValues(minimalSettings(), {
    "cluster.nodes": [
      { name: "cp1", address: "10.0.0.11", role: "controlplane" },
      { name: "cp2", address: "10.0.0.12", role: "controlplane" },
      { name: "cp3", address: "10.0.0.13", role: "controlplane" },
      { name: "w1", address: "10.0.0.21", role: "worker" },
      { name: "w2", address: "10.0.0.22", role: "worker" },
    ],
  });
}

/** A copy with values replaced at paths, written as in errors. Undefined removes a key. */
export function withValues(
  settings: Record<string, unknown>,
  values: Record<string, unknown>,
): Record<string, unknown> {
  const copy = structuredClone(settings);
  for (const [path, value] of Object.entries(values)) {
    const keys = path.split(/[.[\]]+/).filter((key) => key !== "");
    const last = keys.pop() ?? "";
    let inner = copy;
    for (const key of keys) inner = (inner[key] ??= {}) as Record<string, unknown>;
    if (value === undefined) delete inner[last];
    else inner[last] = structuredClone(value);
  }
  return copy;
}

/** Files by their path; every other path is missing. */
function filesOf(files: Record<string, string>): (path: string) => string {
  return (path) => {
    const text = files[path];
    if (text === undefined) throw Object.assign(new Error("no such file"), { code: "ENOENT" });
    return text;
  };
}

/** Settings, or every problem with them. Rethrows other errors, which are bugs. */
export function parseOutcome(
  config: unknown,
  files: Record<string, string> = {},
): { settings?: Settings; problems: Problem[]; message: string } {
  try {
    const settings = parseSettings(config as Record<string, unknown>, filesOf(files));
    return { settings, problems: [], message: "" };
  } catch (error) {
    if (!(error instanceof SettingsError)) throw error;
    return { problems: error.problems, message: error.message };
  }
}

/** Marks every secret in the tests' files, in plain text and within base64. */
export const canary = "CANARYc4n4ryCANARY";

/** Base64 of a PEM block with the canary, as in Talos's files. */
export function pem(label: string, mark = canary): string {
  return Buffer.from(`-----BEGIN ${label}-----\n${mark}\n-----END ${label}-----\n`).toString("base64");
}

const certificate = pem("CERTIFICATE");
const key = pem("EC PRIVATE KEY");

/** A secrets bundle in the format of `talosctl gen secrets`. */
export const bundle = `cluster:
    id: ${canary}id=
    secret: ${canary}secret=
secrets:
    bootstraptoken: ${canary}.boot
    secretboxencryptionsecret: ${canary}box=
trustdinfo:
    token: ${canary}.trustd
certs:
    etcd: { crt: ${certificate}, key: ${key} }
    k8s: { crt: ${certificate}, key: ${key} }
    k8saggregator: { crt: ${certificate}, key: ${key} }
    k8sserviceaccount: { key: ${key} }
    os: { crt: ${certificate}, key: ${key} }
`;

/** A control plane's machine configuration, reduced to its secrets. */
export const controlplane = `version: v1alpha1
machine:
    type: controlplane
    token: ${canary}.trustd
    ca: { crt: ${certificate}, key: ${key} }
cluster:
    id: ${canary}id=
    secret: ${canary}secret=
    token: ${canary}.boot
    secretboxEncryptionSecret: ${canary}box=
    ca: { crt: ${certificate}, key: ${key} }
    aggregatorCA: { crt: ${certificate}, key: ${key} }
    serviceAccount: { key: ${key} }
    etcd:
        ca: { crt: ${certificate}, key: ${key} }
`;

/** A worker's machine configuration of the same cluster. */
export const worker = `version: v1alpha1
machine:
    type: worker
    token: ${canary}.trustd
    ca: { crt: ${certificate}, key: "" }
    sysctls: { vm.nr_hugepages: "1024" }
cluster:
    id: ${canary}id=
    secret: ${canary}secret=
    token: ${canary}.boot
    ca: { crt: ${certificate}, key: "" }
`;

export const talosconfig = `context: dev
contexts:
    dev:
        endpoints: [10.0.0.11]
        ca: ${certificate}
        crt: ${certificate}
        key: ${key}
`;

/** Whether a text contains one of the secrets above, in plain text or as the files' base64. */
export function leaksSecret(text: string): boolean {
  return [canary, Buffer.from(canary).toString("base64").slice(0, 20), certificate, key].some((secret) =>
    text.includes(secret),
  );
}

/** A running cluster to adopt. */
export function adoptedSettings(): Record<string, unknown> {
  return withValues(usualSettings(), {
    talosContract: "v1.12",
    kubernetesVersion: "v1.35.4",
    "cluster.secrets": { bundleFile: "secrets.yaml", talosconfigFile: "talosconfig" },
  });
}

export const adoptedFiles = {
  "secrets.yaml": bundle,
  talosconfig,
  "controlplane.yaml": controlplane,
  "worker.yaml": worker,
};
