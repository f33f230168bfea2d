import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { podBody } from "../../../provider/storage/probe/objects.ts";
import { parsePodResult, probeScripts } from "../../../provider/storage/probe/script.ts";

/** The scripts of the probe's pods, run by this machine's shell. */

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "probe-script-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function run(task: "write" | "read", volume = folder) {
  const result = join(folder, "result");
  rmSync(result, { force: true });
  const env = { ...process.env, VOLUME: volume, MEMORY: folder, RESULT: result, BYTES: "100000" };
  const { status, stderr } = spawnSync("sh", ["-c", probeScripts[task]], { env, encoding: "utf8" });
  return { status, stderr, message: existsSync(result) ? readFileSync(result, "utf8") : "" };
}

const fileOf = () => join(folder, "talos-iscsi-probe");

describe("the scripts of the probe's pods", () => {
  it("write a given size, report its checksum and duration, then read the same", () => {
    const { status, stderr, message } = run("write");
    expect(status, stderr).toBe(0);
    const content = readFileSync(fileOf());
    const sum = createHash("sha256").update(content).digest("hex");
    expect(content).toHaveLength(100_000);
    expect(parsePodResult(message)).toMatchObject({ written: sum, found: sum });
    expect(parsePodResult(message)?.seconds).toBeGreaterThanOrEqual(0);
    expect(parsePodResult(run("read").message)).toMatchObject({ written: undefined, found: sum });
  });

  it("distinguish wrong data from no data", () => {
    run("write");
    writeFileSync(fileOf(), "rot");
    expect(parsePodResult(run("read").message)?.found).toBe(createHash("sha256").update("rot").digest("hex"));
    rmSync(fileOf());
    expect(parsePodResult(run("read").message)?.found).toBe("");
  });

  it("fail with the reason if the volume cannot be written, and leave no result", () => {
    const { status, stderr, message } = run("write", join(folder, "nowhere"));
    expect(status).not.toBe(0);
    expect(stderr).toContain("nowhere");
    expect(message).toBe("");
    expect(parsePodResult(message)).toBeUndefined();
  });
});

describe("a pod of the probe", () => {
  const spec = { name: "write-1", claim: "volume-1", node: "w1", image: "i:1", tolerations: [] };

  it("meets the restricted PodSecurity standard unless it has to be root", () => {
    const { spec: pod } = podBody({ ...spec, task: "write", asRoot: false }, "run");
    expect(pod.securityContext).toMatchObject({
      runAsNonRoot: true,
      seccompProfile: { type: "RuntimeDefault" },
    });
    expect(pod.containers[0]?.securityContext).toEqual({
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ["ALL"] },
    });
    expect(pod.automountServiceAccountToken).toBe(false);
    expect(podBody({ ...spec, task: "read", asRoot: true }, "run").spec.securityContext).not.toHaveProperty(
      "runAsNonRoot",
    );
  });
});
