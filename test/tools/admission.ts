import { spawn } from "node:child_process";
import { generateKeyPairSync } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { parseAllDocuments, stringify } from "yaml";

// Checks an admission configuration with kube-apiserver: it loads the configuration long before it needs etcd, and exits if it can't.

type Fields = Readonly<Record<string, unknown>>;

/** The admission plugins of a machine configuration, as Talos passes them to kube-apiserver (siderolabs/talos v1.13 controllers/k8s/render_config_static_pods.go). */
export function admissionPlugins(config: string): { name: string; configuration: unknown }[] {
  const documents = parseAllDocuments(config).map((document) => document.toJS() as Fields);
  const main = documents.find((document) => document["kind"] === undefined) as
    | { cluster?: { apiServer?: { admissionControl?: { name: string; configuration: unknown }[] } } }
    | undefined;
  return [
    ...(main?.cluster?.apiServer?.admissionControl ?? []),
    ...(documents.filter(({ kind }) => kind === "KubeAdmissionControlConfig") as unknown as {
      name: string;
      configuration: unknown;
    }[]),
  ].map(({ name, configuration }) => ({ name, configuration }));
}

/** Why kube-apiserver would not start with the admission configuration of a machine configuration; undefined if it loads it. */
export async function apiServerRefusal(program: string, config: string): Promise<string | undefined> {
  const plugins = admissionPlugins(config);
  const folder = await mkdtemp(join(tmpdir(), "talos-iscsi-admission-"));
  try {
    const [file, key] = [join(folder, "admission.yaml"), join(folder, "sa.key")];
    await writeFile(
      file,
      stringify({ apiVersion: "apiserver.config.k8s.io/v1", kind: "AdmissionConfiguration", plugins }),
    );
    const pair = generateKeyPairSync("rsa", { modulusLength: 2048 });
    await writeFile(key, pair.privateKey.export({ type: "pkcs1", format: "pem" }), { mode: 0o600 });
    return await verdict(program, [
      ...(plugins.length === 0 ? [] : [`--admission-control-config-file=${file}`]),
      ...[`--service-account-key-file=${key}`, `--service-account-signing-key-file=${key}`],
      ...["--service-account-issuer=https://kubernetes.invalid", "--service-cluster-ip-range=10.96.0.0/12"],
      // No etcd is there: by the time kube-apiserver needs it, the admission configuration is loaded.
      ...["--etcd-servers=http://127.0.0.1:1", "--advertise-address=192.0.2.1"],
      ...["--bind-address=127.0.0.1", `--secure-port=${await freePort()}`],
      `--cert-dir=${folder}`,
    ]);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

async function verdict(program: string, args: readonly string[]): Promise<string | undefined> {
  const child = spawn(program, [...args], { stdio: ["ignore", "ignore", "pipe"] });
  const seen: string[] = [];
  try {
    for await (const line of createInterface({ input: child.stderr })) {
      if (/Loaded \d+ validating admission controller/.test(line)) return undefined;
      seen.push(line);
    }
    const failed = seen.findLast((line) => line.includes("command failed"));
    return failed?.replace(/^.*err=/, "") ?? `kube-apiserver ended: ${seen.slice(-3).join("\n")}`;
  } finally {
    if (child.exitCode === null && child.signalCode === null) {
      const ended = new Promise((resolve) => child.once("close", resolve));
      child.kill("SIGKILL");
      await ended;
    }
  }
}
