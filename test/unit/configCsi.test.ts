import { newestUsableContract } from "../../talos/iscsi.ts";
import { describe, expect, it } from "vitest";
import { minimalSettings, parseOutcome, usualSettings } from "./settings/example.ts";

/** What the drivers need of each other and of the cluster, reported with all other mistakes of a configuration. */

const joviandss = {
  image:
    "registry.example.com/joviandss-csi@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
  pools: [{ name: "Pool-0" }],
  endpoint: { addresses: ["10.0.1.1"], user: "admin", password: "secret-of-a-test" },
  iscsi: { addresses: ["10.0.1.1"] },
};

const paths = (settings: Record<string, unknown>) =>
  parseOutcome({ ...minimalSettings(), ...settings }).problems.map(({ path }) => path);

describe("drivers on one cluster", () => {
  it("are valid", () => {
    expect(paths({ joviandss })).toEqual([]);
  });

  it("need the snapshot CRDs if they use snapshots", () => {
    const snapshots = { enabled: true };
    expect(paths({ joviandss: { ...joviandss, snapshots } })).toEqual(["joviandss.snapshots.enabled"]);
    expect(paths({ joviandss: { ...joviandss, snapshots }, snapshotController: {} })).toEqual([]);
    expect(paths({ joviandss: { ...joviandss, snapshots }, snapshotController: { install: false } })).toEqual(
      [],
    );
  });
});

describe("images that a section does not run", () => {
  const mirrored = { resizer: "mirror.example.com/csi-resizer:v2.3.0" };
  const warned = (settings: Record<string, unknown>) =>
    parseOutcome({ ...minimalSettings(), ...settings }).settings?.warnings.map(
      ({ path, reason }) => `${path}: ${reason}`,
    );

  it("are named with those it runs, because the key has no effect", () => {
    expect(warned({ joviandss: { ...joviandss, images: mirrored } })).toEqual([
      "joviandss.images.resizer: has no effect: joviandss runs no such image; it runs only provisioner, attacher, snapshotter, registrar and livenessProbe",
    ]);
    expect(warned({ snapshotController: { images: mirrored } })).toEqual([
      "snapshotController.images.resizer: has no effect: snapshotController runs no such image; it runs only snapshotController",
    ]);
  });

  it("say nothing of images that it runs", () => {
    const synology = {
      arrays: [{ host: "10.0.1.2", username: "kubernetes", password: "secret-of-a-test" }],
      images: mirrored,
    };
    expect(warned({ synology })).toEqual([]);
  });
});

describe("a cluster without workers", () => {
  const taint = { key: "node-role.kubernetes.io/control-plane", operator: "Exists", effect: "NoSchedule" };
  const synology = { arrays: [{ host: "10.0.1.2", username: "kubernetes", password: "secret-of-a-test" }] };
  const drivers = { joviandss, synology, snapshotController: {} };
  const tolerations = (settings: Record<string, unknown>) => {
    const { settings: all } = parseOutcome(settings);
    return [
      all?.joviandss?.controller.tolerations,
      all?.synology?.controller.tolerations,
      all?.snapshotController?.tolerations,
    ];
  };

  it("runs the controllers on its control planes", () => {
    expect(tolerations({ ...minimalSettings(), ...drivers })).toEqual([[taint], [taint], [taint]]);
  });

  it("keeps the tolerations of the settings, and adds none that they already cover", () => {
    const own = { key: "dedicated", operator: "Exists" };
    const withOwn = (...list: object[]) =>
      tolerations({
        ...minimalSettings(),
        joviandss: { ...joviandss, controller: { tolerations: list } },
      })[0];
    expect(withOwn(own)).toEqual([own, taint]);
    for (const enough of [{ operator: "Exists" }, { key: taint.key, operator: "Exists" }])
      expect(withOwn(enough)).toEqual([enough]);
    const noExecute = { operator: "Exists", effect: "NoExecute" };
    expect(withOwn(noExecute)).toEqual([noExecute, taint]);
  });

  it("is the only exception: with a worker, controllers stay off control planes", () => {
    expect(tolerations({ ...usualSettings(), ...drivers })).toEqual([[], [], []]);
  });
});

describe("the contract", () => {
  it("may be v1.14 if kubernetesVersion is set, because the provider's default does not apply", () => {
    const newest = { ...minimalSettings(), talosVersion: "v1.14.1", talosContract: "v1.14" };
    expect(parseOutcome(newest).problems).toEqual([
      {
        path: "kubernetesVersion",
        reason: expect.stringMatching(/^is missing; with talosContract v1\.14/) as string,
      },
    ]);
    expect(parseOutcome({ ...newest, kubernetesVersion: "v1.36.1" }).problems).toEqual([]);
  });

  it("is v1.13 at most by default, so existing stacks keep theirs", () => {
    expect(newestUsableContract("v1.14.1")).toBe("v1.13");
    expect(newestUsableContract("v1.12.7")).toBe("v1.12");
  });
});
