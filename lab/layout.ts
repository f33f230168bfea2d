import { chmodSync, mkdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parse } from "yaml";

/** Where a lab lives and what it consists of. Its nodes come from the stack's own file, the only place that lists them. */

/** The project's folder. */
export const projectDir = dirname(dirname(fileURLToPath(import.meta.url)));

/** The entry point of the lab's own process. */
export const daemonFile = join(projectDir, "lab", "daemon.ts");

/** Folders and files of a lab; they are deleted with it. */
export const labFiles = {
  dir: join(projectDir, ".lab"),
  bin: join(projectDir, ".lab", "bin"),
  logs: join(projectDir, ".lab", "logs"),
  nodes: join(projectDir, ".lab", "nodes"),
  kubernetes: join(projectDir, ".lab", "kubernetes"),
  backend: join(projectDir, ".lab", "state"),
  /** Control socket of the lab's process. */
  socket: join(projectDir, ".lab", "lab.sock"),
  log: join(projectDir, ".lab", "logs", "lab.log"),
  secretsBundle: join(projectDir, ".lab", "secrets.yaml"),
  talosconfig: join(projectDir, ".lab", "talosconfig"),
  kubeconfig: join(projectDir, ".lab", "kubeconfig"),
} as const;

/** Creates the lab's folders. Only their owner may read them, since the cluster's secrets are among the files. */
export function makeLabFolders(): void {
  for (const dir of [
    labFiles.dir,
    labFiles.bin,
    labFiles.logs,
    labFiles.nodes,
    labFiles.kubernetes,
    labFiles.backend,
  ]) {
    mkdirSync(dir, { recursive: true, mode: 0o700 });
    chmodSync(dir, 0o700);
  }
}

/** How the lab's machines start: as a running cluster created by talosctl, or empty. */
export type LabMode = "running" | "new";

/** How a lab is started. */
export interface LabOptions {
  mode: LabMode;
  /** Total time of one machine's upgrade, in seconds. Default: 3. */
  nodeSeconds?: number;
  /** A secrets bundle to create the running cluster with. Default: new secrets. */
  secrets?: string;
  /** Folders with components of other Kubernetes releases, by release. Every control plane then runs its own kube-apiserver, of the release in its configuration. */
  builds?: Record<string, string>;
  /** The Talos release that the running cluster was created with. Default: `initialTalosVersion`. */
  talosVersion?: string;
}

/** The stack that belongs to each mode. Both are ordinary stacks: `Pulumi.<stack>.yaml`. */
export const stackOf: Record<LabMode, string> = { running: "dev", new: "dev-new" };

export interface LabNode {
  name: string;
  address: string;
  role: "controlplane" | "worker";
}

/** What the lab reads from the stack's file to build the machines that the stack expects. */
export interface LabLayout {
  clusterName: string;
  endpoint: string;
  kubernetesVersion: string;
  factory: string;
  nodes: LabNode[];
}

/** The Talos release that the running cluster was created with, from the vanilla image: no extensions. */
export const initialTalosVersion = "v1.12.7";
export const vanillaImage = (talosVersion: string): string => `ghcr.io/siderolabs/installer:${talosVersion}`;

/** The boot medium of the empty machines. */
export function bootImage({ mode, talosVersion = initialTalosVersion }: LabOptions): string {
  return vanillaImage(mode === "running" ? talosVersion : "v1.13.9");
}

/** Only what the lab needs; `config.ts` validates the file. */
interface StackFile {
  config: Record<string, unknown>;
}

export function readLayout(stack: string): LabLayout {
  const file = join(projectDir, `Pulumi.${stack}.yaml`);
  const { config } = parse(readFileSync(file, "utf8")) as StackFile;
  const cluster = config["talos-iscsi:cluster"] as { name: string; endpoint: string; nodes: LabNode[] };
  const image = config["talos-iscsi:image"] as { factory: string };
  return {
    clusterName: cluster.name,
    endpoint: cluster.endpoint,
    kubernetesVersion: config["talos-iscsi:kubernetesVersion"] as string,
    factory: image.factory,
    nodes: cluster.nodes.map(({ name, address, role }) => ({ name, address, role })),
  };
}
