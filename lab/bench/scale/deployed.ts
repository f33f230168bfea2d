import { readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { pathToFileURL } from "node:url";
import { parse, stringify } from "yaml";
import { resolveTools } from "../../../tools/resolve.ts";
import { askLab, callPauseMs, labReport, type NodeReport } from "../../control.ts";
import type { FaultRequest } from "../../faultControl.ts";
import { choosePlugins } from "../../pluginPaths.ts";
import { inPreparedLab } from "../scratch.ts";
import { ScaleProject, type Run } from "./project.ts";

/** A command on a deployed stack. */
export interface Deployed extends Run {
  callsPerNode: number;
  /** From the first call to the last answer of the node that took longest. */
  slowestNodeSeconds: number;
}

/** What a deployed stack of this many simulated nodes costs, and how often its nodes are called. */
export interface DeployedFigures {
  up: Deployed;
  unchanged: Deployed;
  /** More previews without changes, each followed by one of a bare program with the same resources in its own state. */
  pairs: { unchanged: Run; bare: Run }[];
  refresh: Deployed;
  /** The same when all nodes answer late. */
  slowRefresh: Deployed;
  newRelease: Deployed;
  stateBytesPerNode: number;
  /** Bytes of the state by type and property, largest first. */
  largest: [string, number][];
}

interface StackFile {
  config: Record<string, unknown>;
}

const stack = "dev-new";
const pairsInAll = 5;
const lateMs = 500;
const releases = { first: "v1.13.7", next: "v1.13.9" };

/** Deploys a new cluster in its own lab and previews it repeatedly, alternating with a bare program, so that a machine that slows down slows both. */
export async function deployedFigures(
  nodes: number,
  say: (line: string) => void,
): Promise<DeployedFigures | undefined> {
  let figures: DeployedFigures | undefined;
  const prepare = (dir: string): void => changeStack(dir, (file) => withNodes(file, nodes));
  await inPreparedLab({ nodeSeconds: 1, say, prepare, mode: "new" }, async (dir) => {
    const [tools, plugins] = [await resolveTools(["pulumi", "talosctl"]), await choosePlugins()];
    const project = ScaleProject.ofLab(dir, tools, plugins, {
      PULUMI_BACKEND_URL: pathToFileURL(join(dir, ".lab", "state")).href,
      PULUMI_CONFIG_PASSPHRASE: "talos-iscsi-lab",
    });
    const measured = async (...args: string[]) => {
      say(`pulumi ${args.join(" ")}`);
      await setTimeout(callPauseMs);
      const before = await readNodeReports(dir);
      const run = await project.measured([...args, "--stack", stack, "--suppress-outputs"]);
      const after = await readNodeReports(dir);
      const callsPerNode = (countCalls(after) - countCalls(before)) / nodes;
      const slowestNodeSeconds =
        callsPerNode === 0 ? 0 : Math.max(...after.map(({ answeringMs }) => answeringMs)) / 1000;
      say(`  ${run.seconds.toFixed(1)} s, ${callsPerNode.toFixed(1)} calls a node`);
      return { ...run, callsPerNode, slowestNodeSeconds };
    };
    const up = await measured("up", "--yes", "--skip-preview");
    const unchanged = await measured("preview", "--expect-no-changes");
    const pairs: DeployedFigures["pairs"] = [];
    const bare = await project.deployedBare(stack, tools, plugins);
    try {
      const look = () =>
        bare.measured(["preview", "--expect-no-changes", "--stack", "bare", "--suppress-outputs"]);
      await look();
      for (let pair = 0; pair < pairsInAll; pair += 1)
        pairs.push({ unchanged: await measured("preview", "--expect-no-changes"), bare: await look() });
    } finally {
      bare.remove();
    }
    // Without its preview, which reads every node too.
    const refresh = await measured("refresh", "--yes", "--skip-preview");
    await answerLate(dir, true);
    const slowRefresh = await measured("refresh", "--yes", "--skip-preview");
    await answerLate(dir, false);
    changeStack(dir, (file) => (file.config["talos-iscsi:talosVersion"] = releases.next));
    const newRelease = await measured("preview");
    const file = join(dir, ".lab", "state", ".pulumi", "stacks", "talos-iscsi", `${stack}.json`);
    figures = {
      ...{ up, unchanged, pairs, refresh, slowRefresh, newRelease },
      stateBytesPerNode: statSync(file).size / nodes,
      largest: largestResources(file),
    };
  });
  return figures;
}

/** A stack of three control planes plus workers at loopback addresses, in place of the lab's five nodes. */
function withNodes(file: StackFile, nodes: number): void {
  const cluster = file.config["talos-iscsi:cluster"] as { nodes: unknown };
  cluster.nodes = Array.from({ length: nodes }, (_, index) => ({
    name: index < 3 ? `cp${index + 1}` : `w${index - 2}`,
    address: `127.10.${Math.floor(index / 200) + 1}.${(index % 200) + 11}`,
    role: index < 3 ? "controlplane" : "worker",
  }));
  file.config["talos-iscsi:talosVersion"] = releases.first;
  file.config["talos-iscsi:upgrade"] = { workers: { maxUnavailable: "10%" } };
}

function changeStack(dir: string, change: (file: StackFile) => void): void {
  const path = join(dir, `Pulumi.${stack}.yaml`);
  const file = parse(readFileSync(path, "utf8")) as StackFile;
  change(file);
  writeFileSync(path, stringify(file));
}

async function readNodeReports(dir: string): Promise<NodeReport[]> {
  const report = await labReport(socketOf(dir));
  if (report === undefined) throw new Error("the lab is no longer running");
  return report.nodes;
}

const countCalls = (nodes: readonly NodeReport[]): number => nodes.reduce((sum, { calls }) => sum + calls, 0);

/** Every call of every node takes as long as in a distant network, or no longer. */
async function answerLate(dir: string, late: boolean): Promise<void> {
  for (const { name } of await readNodeReports(dir)) {
    const body: FaultRequest = { node: name, fault: "slow-answers", value: lateMs, lift: !late };
    await askLab(socketOf(dir), { method: "POST", path: "/fault", body });
  }
}

const socketOf = (dir: string): string => join(dir, ".lab", "lab.sock");

function largestResources(file: string): [string, number][] {
  const { checkpoint } = JSON.parse(readFileSync(file, "utf8")) as {
    checkpoint: { latest: { resources: Record<string, unknown>[] } };
  };
  const bytes = new Map<string, number>();
  for (const { type, inputs, outputs } of checkpoint.latest.resources)
    for (const [kind, properties] of Object.entries({ inputs, outputs }))
      for (const [name, value] of Object.entries(properties ?? {})) {
        const key = `${String(type)} ${kind}.${name}`;
        bytes.set(key, (bytes.get(key) ?? 0) + JSON.stringify(value).length);
      }
  return [...bytes].sort(([, a], [, b]) => b - a).slice(0, 8);
}
