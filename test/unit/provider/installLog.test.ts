import { describe, expect, it } from "vitest";
import { parseInstallHistory, isSameImage } from "../../../talos/api/installLog.ts";
import { toStaticPod } from "../../../talos/api/nodeState.ts";

const image = "factory.talos.dev/metal-installer/c907@sha256:ab12";
const kernel = (...lines: string[]): string =>
  [
    "kern:    info: [2026-11-28T00:00:00Z]: Linux version 6.18.0-talos",
    ...lines.map((line) => `user: warning: [2026-11-28T00:10:00Z]: [talos] ${line}`),
  ].join("\n");

describe("installations in the logs of a boot", () => {
  it("none, in a boot without one", () => {
    expect(parseInstallHistory(kernel(), "")).toEqual({ last: undefined, completed: [], complete: true });
  });

  it("one that runs, that has ended, that has failed (kernel log, up to Talos 1.13)", () => {
    const begun = `starting upgrade: installer_image=${image}, disk=/dev/sda`;
    expect(parseInstallHistory(kernel(begun), "").last).toEqual({ image, state: "running" });
    const ended = parseInstallHistory(kernel(begun, "upgrade completed successfully: exit_code=0"), "");
    expect(ended).toMatchObject({ last: { image, state: "completed" }, completed: [image] });
    const failed = parseInstallHistory(kernel(begun, "upgrade failed: exit_code=3"), "");
    expect(failed).toMatchObject({ last: { state: "failed" }, completed: [] });
  });

  it("the same from machined's log (Talos 1.14)", () => {
    const log = [
      `2026-11-28T00:10:00Z \u001b[34mINFO\u001b[0m starting upgrade {"component":"machined","service":"lifecycle","installer_image":"${image}","disk":"/dev/sda"}`,
      '2026-11-28T00:11:00Z \u001b[34mINFO\u001b[0m upgrade completed {"component":"machined","service":"lifecycle","exit_code":0}',
    ].join("\n");
    expect(parseInstallHistory(kernel(), log)).toMatchObject({
      last: { state: "completed" },
      completed: [image],
    });
  });

  it("an incomplete log, if the beginning of the boot is missing", () => {
    expect(parseInstallHistory("kern: info: [2026-11-28T00:00:00Z]: eth0: link up", "").complete).toBe(false);
  });

  it("an image by its digest, or by its tag with a digest", () => {
    expect(isSameImage("r/installer:v1@sha256:ab", "r/installer:v1")).toBe(true);
    expect(isSameImage(image, image)).toBe(true);
    expect(isSameImage("r/installer:v1.1@sha256:ab", "r/installer:v1")).toBe(false);
  });
});

describe("a kube-apiserver after a change of its manifest", () => {
  const pods = [{ id: "kube-apiserver", updatedMs: Date.parse("2026-11-28T10:00:10Z"), spec: {} }];
  const status = (startedAt: string) => [
    {
      id: "kube-system/kube-apiserver-cp1",
      updatedMs: undefined,
      spec: {
        startTime: "2026-11-28T08:00:00Z",
        conditions: [{ type: "Ready", status: "True" }],
        containerStatuses: [{ state: { running: { startedAt } } }],
      },
    },
  ];

  it("is outdated until its container restarts; the pod's own start time never changes", () => {
    expect(toStaticPod("kube-apiserver", pods, status("2026-11-28T09:00:00Z"))).toEqual({
      ready: true,
      outdated: true,
    });
    expect(toStaticPod("kube-apiserver", pods, status("2026-11-28T10:00:20Z"))).toEqual({
      ready: true,
      outdated: false,
    });
  });
});
