import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { ProcessesReport } from "../../lab/csi/processes.ts";
import { resolveTools } from "../../tools/resolve.ts";
import { nightly } from "./nightly.ts";

// Runs `npm run csi:processes` as a user would. It needs root and gets it through sudo.
async function processes(...args: string[]): Promise<{ status: number | null; report: ProcessesReport }> {
  await resolveTools(["csi-driver", "csi-sanity"]);
  const cli = join(import.meta.dirname, "..", "..", "lab", "csi", "processesCli.ts");
  const { status, stdout, stderr } = spawnSync(process.execPath, [cli, "--json", ...args], {
    encoding: "utf8",
    maxBuffer: 2 ** 26,
  });
  if (!stdout.startsWith("{")) throw new Error(stderr);
  return { status, report: JSON.parse(stdout) as ProcessesReport };
}

const restarted = ["NodeStageVolume again", "NodePublishVolume again", "the pod still has its data"];
const failures = ({ steps }: ProcessesReport) => steps.filter(({ error }) => error !== undefined);

describe.each(["joviandss", "synology"])("%s: what the manifests start", (driver) => {
  it("runs, serves a volume across restarts of the kubelet and the driver, and passes the sanity suite", async () => {
    const { status, report } = await processes("--driver", driver);
    expect(failures(report)).toEqual([]);
    expect(report.steps.map(({ step }) => step)).toEqual([
      "CreateVolume",
      "ControllerPublishVolume",
      "NodeStageVolume",
      "NodePublishVolume",
      "the pod writes",
      ...restarted,
      ...restarted,
      "NodeUnpublishVolume",
      "NodeUnstageVolume",
      "ControllerUnpublishVolume",
      "DeleteVolume",
      "nothing is left on the array",
    ]);
    expect(report.started.map(({ exits }) => exits)).toEqual([[], []]);
    const failed = report.sanity.filter(({ state }) => state === "failed");
    expect(failed.filter(({ known }) => known === undefined)).toEqual([]);
    expect(failed.length).toBeLessThanOrEqual(1);
    expect(report.sanity.filter(({ state }) => state === "passed").length).toBeGreaterThanOrEqual(63);
    expect(report.left).toEqual({ volumes: [], snapshots: [], targets: [] });
    expect(status).toBe(0);
  });

  it("does not start without its configuration", async () => {
    const { status, report } = await processes("--driver", driver, "--without", "configuration");
    expect(failures(report)).toEqual([
      { step: "the processes start", error: "not all of them listen on their socket" },
    ]);
    expect(report.started[0]?.exits).toContain("exit code 1");
    expect(report.started[0]?.output).toContain("no such file or directory");
    expect(status).toBe(1);
  });
});

describe("what each driver needs", () => {
  nightly("Synology: a service account token in every process", async () => {
    const { report } = await processes("--driver", "synology", "--without", "token");
    for (const { exits, output } of report.started) {
      expect(exits).toContain("exit code 1");
      expect(output).toContain("Failed to read in-cluster config");
    }
  });

  nightly("JovianDSS: no service account token", async () => {
    const { report } = await processes("--driver", "joviandss", "--without", "token");
    expect(failures(report)).toEqual([]);
  });

  it("JovianDSS: without our iscsiadm and mount wrappers, a kubelet restart loses the disk", async () => {
    const { report } = await processes("--driver", "joviandss", "--without", "shims");
    expect(failures(report)[0]).toMatchObject({ step: "NodeStageVolume again" });
    expect(failures(report)[0]?.error).toContain("exit status 15");
  });
});
