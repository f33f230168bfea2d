import { readFileSync, rmSync, writeFileSync } from "node:fs";
import Table from "cli-table3";
import { readFacts, type NodeFacts } from "../provider/facts.ts";
import { connectTalos } from "../talos/api/client.ts";
import { parseTalosconfig, type ClientCredentials } from "../talos/secretsBundle.ts";
import type { LabReport } from "./control.ts";
import { labFiles, projectDir, readLayout, type LabNode } from "./layout.ts";
import { stackOutput } from "./stack.ts";

/** The nodes as reported by their own Talos APIs, not as the simulator or the state describes them. */

export interface NodeStatus {
  name: string;
  address: string;
  role: "controlplane" | "worker";
  /** Its stage as Talos reports it, `maintenance` (no configuration yet) or `unreachable`. */
  stage: string;
  version?: string;
  schematic?: string;
  extensions?: string[];
  /** State of the service ext-iscsid; absent if there is none. */
  iscsid?: string;
  initiatorName?: string;
  /** How often it has booted and been upgraded since the lab started. */
  boots?: number;
  upgrades?: number;
  /** Why its API couldn't be read. */
  problem?: string;
}

export interface LabStatus {
  stack: string;
  nodes: NodeStatus[];
}

const iscsiadm = "/usr/local/sbin/iscsiadm";

export async function readStatus(lab: LabReport): Promise<LabStatus> {
  const layout = readLayout(lab.stack);
  const credentials = await labCredentials(lab);
  const nodes = await Promise.all(
    layout.nodes.map(async (node) => {
      const machine = lab.nodes.find((other) => other.name === node.name);
      const counted = machine === undefined ? {} : { boots: machine.boots, upgrades: machine.upgrades };
      return { ...(await nodeStatus(node, credentials, machine?.stage ?? "unknown")), ...counted };
    }),
  );
  return { stack: lab.stack, nodes };
}

/** The talosconfig that came with the cluster; for a new cluster, the one that the stack created. */
async function labCredentials(lab: LabReport): Promise<ClientCredentials | undefined> {
  const text =
    lab.mode === "running"
      ? readFileSync(labFiles.talosconfig, "utf8")
      : await stackOutput(lab.stack, "talosconfig");
  return text === undefined ? undefined : parseTalosconfig(text);
}

async function nodeStatus(
  node: LabNode,
  credentials: ClientCredentials | undefined,
  stage: string,
): Promise<NodeStatus> {
  const self = { name: node.name, address: node.address, role: node.role };
  if (credentials === undefined || stage === "maintenance") return { ...self, stage };
  const talos = connectTalos({ endpoint: node.address, node: node.address, credentials });
  try {
    const facts = await readFacts(talos, { files: [iscsiadm] }, { deadlineMs: 5_000 });
    return { ...self, ...toStatus(facts) };
  } catch (error) {
    return { ...self, stage: "unreachable", problem: error instanceof Error ? error.message : String(error) };
  } finally {
    talos.close();
  }
}

function toStatus(facts: NodeFacts): Omit<NodeStatus, "name" | "address" | "role"> {
  const iscsid = facts.services.find((service) => service.id === "ext-iscsid");
  return {
    stage: facts.machine.stage,
    version: facts.version,
    ...(facts.schematicId === undefined ? {} : { schematic: facts.schematicId }),
    extensions: facts.extensions.map(({ name, version }) => `${name} ${version}`.trim()),
    ...(iscsid === undefined ? {} : { iscsid: iscsid.state }),
    ...(facts.initiatorName === undefined ? {} : { initiatorName: facts.initiatorName }),
  };
}

/** The table at the end of `lab -- up`. */
export function formatNodeTable(status: LabStatus): string {
  const table = new Table({
    head: ["node", "role", "stage", "version", "schematic", "extensions", "iscsid", "initiator name"],
    style: { head: [], border: [], compact: true },
  });
  for (const node of status.nodes) {
    table.push([
      node.name,
      node.role,
      node.stage,
      node.version ?? "-",
      node.schematic?.slice(0, 12) ?? "-",
      node.extensions?.join("\n") || "-",
      node.iscsid ?? "-",
      node.initiatorName ?? "-",
    ]);
  }
  const problems = status.nodes.flatMap(({ name, problem }) =>
    problem === undefined ? [] : [`${name}: ${problem}`],
  );
  return [table.toString(), ...problems].join("\n");
}

/** Writes the stack's kubeconfig to the path that the next steps name. */
export async function writeKubeconfig(stack: string): Promise<void> {
  const kubeconfig = await stackOutput(stack, "kubeconfig");
  if (kubeconfig === undefined) return;
  rmSync(labFiles.kubeconfig, { force: true }); // an existing file keeps its mode, and this one must be 0600
  writeFileSync(labFiles.kubeconfig, kubeconfig, { mode: 0o600 });
}

/** What to do after a finished `up`. */
export function describeNextSteps(stack: string): string {
  const kubectl = `${labFiles.bin}/kubectl --kubeconfig ${labFiles.kubeconfig}`;
  return [
    "What next:",
    "  1. Allow the initiator names above on the array.",
    `  2. Look around:          ${kubectl} -n joviandss-csi get pods -o wide`,
    `  3. Change something:     edit ${projectDir}/Pulumi.${stack}.yaml, then npm run lab -- preview`,
    "  4. Delete the lab:       npm run lab -- stop",
  ].join("\n");
}
