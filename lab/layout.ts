import { chmodSync, mkdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parse } from "yaml";

/** Where a lab lives and what it consists of. The nodes are those of the stack's own file: one place says which there are. */

/** The project's folder. */
export const projectDir = dirname(dirname(fileURLToPath(import.meta.url)));

/** The program of the lab's own process. */
export const daemonFile = join(projectDir, "lab", "daemon.ts");

/** Folders and files of a lab; everything in them is of one lab and goes with it. */
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

/** Makes the lab's folders; only their owner may look inside, since secrets of the cluster are among the files. */
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

/** How the lab's machines begin: as a running cluster that talosctl made, or empty. */
export type LabMode = "running" | "new";

/** How a lab is started. */
export interface LabOptions {
  mode: LabMode;
  /** How long a machine takes for an upgrade in all; default: 3 s. */
  nodeSeconds?: number;
  /** A secrets bundle to make the running cluster with. Default: new secrets. */
  secrets?: string;
  /** Folders with components of Kubernetes of other releases, by release: every control plane then has a kube-apiserver of its own, of the release that it names. */
  builds?: Record<string, string>;
  /** The release that the running cluster was made with. Default: `initialTalosVersion`. */
  talosVersion?: string;
}

/** The stack that belongs to each mode. Both are ordinary stacks: `Pulumi.<stack>.yaml`. */
export const stackOf: Record<LabMode, string> = { running: "dev", new: "dev-new" };

export interface LabNode {
  name: string;
  address: string;
  role: "controlplane" | "worker";
}

/** What the lab takes from the stack's file to build the machines that the stack expects. */
export interface LabLayout {
  clusterName: string;
  endpoint: string;
  kubernetesVersion: string;
  factory: string;
  nodes: LabNode[];
}

/** The release that the running cluster was made with, from the vanilla image: no extension in it. */
export const initialTalosVersion = "v1.12.7";
export const vanillaImage = (talosVersion: string): string => `ghcr.io/siderolabs/installer:${talosVersion}`;

/** The medium that the empty machines boot from. */
export function bootImage({ mode, talosVersion = initialTalosVersion }: LabOptions): string {
  return vanillaImage(mode === "running" ? talosVersion : "v1.13.9");
}

/** Only what the lab needs; `config.ts` is who judges the file. */
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
