import { spawn } from "node:child_process";
import { openSync, readFileSync, rmSync } from "node:fs";
import { resolveTools, type ToolName } from "../tools/resolve.ts";
import { askLab, labReport, noLabText, type LabReport } from "./control.ts";
import {
  daemonFile,
  labFiles,
  makeLabFolders,
  projectDir,
  readLayout,
  stackOf,
  type LabMode,
  type LabOptions,
} from "./layout.ts";
import { endLabProcesses, reapLeftovers } from "./leftovers.ts";
import { findAcquirable, acquirePlugins } from "./acquirePlugins.ts";
import { choosePlugins, languageHost, pluginSdks, type PluginChoice } from "./pluginPaths.ts";
import { seedCluster } from "./seedCluster.ts";
import { linkTools } from "./stack.ts";

/** Starts and stops a lab: a process that outlives the command that started it. */

const toolNames = [
  "pulumi",
  "talosctl",
  "etcd",
  "kube-apiserver",
  "kube-controller-manager",
  "kube-scheduler",
  "kubectl",
  "kwok",
] as const satisfies ToolName[];

/** An error that the user can do something about: shown without a stack trace. */
export class LabError extends Error {}

export interface StartedLab {
  report: LabReport;
  plugins: PluginChoice[];
  /** False if it was already running. */
  started: boolean;
}

type PrintLine = (line: string) => void;

/** The lab in the desired mode, started if none is running. A lab in the other mode is left alone. */
export async function startLab(options: LabOptions, say: PrintLine): Promise<StartedLab> {
  const { mode } = options;
  requireLinux();
  const running = await labReport(labFiles.socket);
  const { tools, plugins } = await findPrograms(say, running === undefined);
  if (running !== undefined) {
    if (running.mode !== mode) throw otherModeError(running.mode, mode);
    if (running.failure !== undefined)
      throw new LabError(
        `the running lab could not be set up: ${running.failure}\nDelete it with: npm run lab -- stop`,
      );
    linkTools(tools, plugins);
    return { report: running, plugins, started: false };
  }
  reapLeftovers(say);
  makeLabFolders();
  linkTools(tools, plugins);
  printPrograms(tools.pulumi, plugins, say);
  await launch(options);
  try {
    const layout = readLayout(stackOf[mode]);
    if (mode === "running") await seedCluster(tools.talosctl, layout, options, say);
    await askLab(labFiles.socket, { method: "POST", path: "/ready" });
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    await askLab(labFiles.socket, { method: "POST", path: "/failed", body: { why } }).catch(() => undefined);
    throw new LabError(
      `the lab's cluster could not be set up: ${why}\nIt is left as is for debugging (log: ${labFiles.log}); delete it with: npm run lab -- stop`,
    );
  }
  const report = await askLab<LabReport>(labFiles.socket, { method: "GET", path: "/report" });
  return { report, plugins, started: true };
}

/** The tools and the provider plugins. Before a lab starts, the engine may fetch published plugins that aren't installed. */
async function findPrograms(say: PrintLine, fetch: boolean) {
  const progress = { onProgress: say };
  const wanted = fetch ? await findAcquirable(pluginSdks, process.env) : [];
  // Everything that must be built anyway is built in one go.
  if (wanted.length === 0) await resolveTools([...toolNames, "pulumi-resource-kubernetes"], progress);
  const tools = await resolveTools(toolNames, progress);
  await acquirePlugins(tools.pulumi, wanted, say);
  return { tools, plugins: await choosePlugins(progress) };
}

function printPrograms(pulumi: string, plugins: readonly PluginChoice[], say: PrintLine): void {
  for (const { name, kind, version, path } of plugins)
    say(`provider ${name}: ${[kind, version].filter((word) => word !== undefined).join(", ")} (${path})`);
  const host = languageHost(pulumi);
  say(host === undefined ? "program: inline (pulumi-language-nodejs not found)" : `program: run by ${host}`);
}

/** Fetches the published plugins that a lab would fetch at its start, and prints which ones it would use. */
export async function preparePlugins(say: PrintLine): Promise<void> {
  const { pulumi } = await resolveTools(["pulumi"], { onProgress: say });
  await acquirePlugins(pulumi, await findAcquirable(pluginSdks, process.env), say);
  printPrograms(pulumi, await choosePlugins({ onProgress: say }), say);
}

function requireLinux(): void {
  if (process.platform === "linux") return;
  throw new LabError(
    `the lab runs on Linux only (it binds addresses all over 127.0.0.0/8 and starts Linux programs); this is ${process.platform}.\n` +
      "The program itself runs here: use `pulumi preview` and `pulumi up` against your own cluster.",
  );
}

function otherModeError(is: LabMode, wanted: LabMode): LabError {
  const wantedFlag = wanted === "new" ? " --new" : "";
  return new LabError(
    `a lab is running with ${is === "new" ? "machines that started empty (--new)" : "a running cluster"}; you asked for the other kind.\n` +
      `Delete it first: npm run lab -- stop && npm run lab -- up${wantedFlag}`,
  );
}

/** Starts the lab's process and waits until it answers. */
async function launch(options: LabOptions): Promise<void> {
  const log = openSync(labFiles.log, "a", 0o600);
  const child = spawn(process.execPath, [daemonFile, JSON.stringify(options)], {
    cwd: projectDir,
    detached: true,
    stdio: ["ignore", log, log],
    env: { ...process.env, PATH: `${labFiles.bin}:${process.env["PATH"] ?? ""}` },
  });
  let ended: string | undefined;
  child.once("exit", (code, signal) => (ended = signal ?? `exit code ${code ?? "?"}`));
  child.unref();
  for (;;) {
    if (ended !== undefined)
      throw new LabError(`the lab's process exited right away (${ended}):\n${lastLines(labFiles.log)}`);
    if ((await labReport(labFiles.socket)) !== undefined) return;
    await sleep(50);
  }
}

function lastLines(file: string): string {
  return readFileSync(file, "utf8").trim().split("\n").slice(-12).join("\n");
}

/** Stops the lab and deletes what belongs to it: the machines are gone, and with them any state that describes them. */
export async function stopLab(say: PrintLine): Promise<boolean> {
  const report = await labReport(labFiles.socket);
  if (report === undefined) {
    reapLeftovers(say);
    return false;
  }
  await askLab(labFiles.socket, { method: "POST", path: "/stop" });
  while (isAlive(report.pid)) await sleep(50);
  endLabProcesses();
  rmSync(labFiles.dir, { recursive: true, force: true });
  return true;
}

/** The running lab's report; if none is running, an error that says how to start one. */
export async function runningLab(): Promise<LabReport> {
  const report = await labReport(labFiles.socket);
  if (report === undefined) throw new LabError(noLabText);
  return report;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
