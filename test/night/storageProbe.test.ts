import { spawn } from "node:child_process";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { ProbeReport } from "../../provider/storage/probe/report.ts";
import { CsiDouble, probeLeftovers } from "../lab/csiDouble.ts";
import { LabProject } from "../lab/project.ts";

/** `npm run storage:probe` when killed, and two at once. A probe only counts as gone after a minute. */

let lab: LabProject;
let driver: CsiDouble;

beforeAll(async () => {
  lab = await LabProject.make();
  await lab.labOk("up");
  driver = new CsiDouble(lab.file("kubeconfig"));
  driver.start();
});

afterAll(async () => {
  await driver?.stop();
  await lab?.remove();
});

const environment = (): Record<string, string> => ({
  PATH: [join(lab.dir, ".lab", "bin"), process.env["PATH"] ?? ""].join(":"),
  PULUMI_BACKEND_URL: pathToFileURL(join(lab.dir, ".lab", "state")).href,
  PULUMI_CONFIG_PASSPHRASE: "talos-iscsi-lab",
});

const command = [join("probe", "cli.ts"), "--stack", "dev", "--json"];

async function probe(): Promise<ProbeReport> {
  const finished = await lab.run(process.execPath, command, environment());
  expect(finished.code, finished.text).toBe(0);
  return JSON.parse(finished.stdout) as ProbeReport;
}

/** A probe that is killed as soon as it has volumes. */
async function killed(): Promise<void> {
  const child = spawn(process.execPath, command, {
    cwd: lab.dir,
    env: { ...process.env, ...environment() },
    stdio: "ignore",
  });
  const ended = new Promise((resolve) => child.once("close", resolve));
  await expect
    .poll(() => lab.tool("kubectl", "get", "persistentvolumes", "--output=name"), {
      timeout: 120_000,
      interval: 500,
    })
    .toContain("pvc-");
  child.kill("SIGKILL");
  await ended;
}

test("the next probe removes what a killed one left behind, and nothing else", async () => {
  driver.broken.add("w1").add("w2");
  await killed();
  const left = (await probeLeftovers(lab)).trim().replace("namespace/", "");
  expect(left).toMatch(/^talos-iscsi-probe-[0-9a-f]{8}$/);
  await lab.tool("kubectl", "create", "namespace", "talos-iscsi-probe-mine");
  driver.broken.clear();
  const { removed, volumes } = await probe();
  expect(removed).toEqual([left]);
  expect(volumes.map(({ result }) => result)).toEqual(["passed", "passed"]);
  expect(await probeLeftovers(lab)).toBe("");
  expect(await driver.volumes()).toBe(0);
  expect(await lab.tool("kubectl", "get", "namespaces", "--output=name")).toContain("talos-iscsi-probe-mine");
});

test("two probes at once both pass and don't touch each other's objects", async () => {
  const reports = await Promise.all([probe(), probe()]);
  expect(reports.flatMap(({ removed }) => removed)).toEqual([]);
  expect(reports.flatMap(({ volumes }) => volumes.map(({ result }) => result))).toEqual(
    Array(4).fill("passed"),
  );
  expect(await probeLeftovers(lab)).toBe("");
});
