import { describe, expect, test } from "vitest";
import { csiProblems } from "../../../components/csi/csiProblems.ts";
import { joviandssSchema } from "../../../components/csi/joviandssSettings.ts";
import { snapshotControllerSchema } from "../../../components/csi/snapshotsSettings.ts";
import { synologySchema } from "../../../components/csi/synologySettings.ts";
import { joviandss, synology } from "./plainSettings.ts";

describe("both drivers on one cluster", () => {
  const both = (more: { joviandss?: object; synology?: object } = {}) => ({
    joviandss: joviandssSchema.parse({ ...joviandss, ...more.joviandss }),
    synology: synologySchema.parse({ ...synology, ...more.synology }),
  });

  test("have no conflict by default", () => {
    expect(csiProblems(both())).toEqual([]);
  });

  test.each<[string, Parameters<typeof both>[0], string, RegExp]>([
    [
      "a namespace",
      { synology: { namespace: "joviandss-csi" } },
      "synology.namespace",
      /namespace joviandss-csi is already used by joviandss.namespace/,
    ],
    [
      "a health port",
      { synology: { healthPort: 29808 } },
      "synology.healthPort",
      /health port 29810 is already used by joviandss.healthPort/,
    ],
    [
      "a pool's own health port",
      { joviandss: { pools: [{ name: "P", healthPort: 29802 }] } },
      "synology.healthPort",
      /health port 29802 is already used by joviandss.pools\[0\].healthPort/,
    ],
    [
      "a StorageClass",
      { synology: { storageClasses: [{ name: "joviandss-sc" }] } },
      "synology.storageClasses[0].name",
      /is already used by joviandss.pools\[0\].storageClasses\[0\].name/,
    ],
    [
      "a VolumeSnapshotClass",
      {
        joviandss: { snapshots: { enabled: true, className: "snapshots" } },
        synology: { snapshots: { enabled: true, className: "snapshots" } },
      },
      "synology.snapshots.className",
      /VolumeSnapshotClass snapshots is already used by joviandss.snapshots.className/,
    ],
    [
      "the default",
      {
        joviandss: { pools: [{ name: "P", storageClasses: [{ name: "j", default: true }] }] },
        synology: { storageClasses: [{ name: "s", default: true }] },
      },
      "synology.storageClasses[0].default",
      /j is already the default StorageClass/,
    ],
  ])("may not share %s", (_, more, where, reason) => {
    expect(csiProblems({ ...both(more), snapshotController: snapshotControllerSchema.parse({}) })).toEqual([
      { path: where, reason: expect.stringMatching(reason) as string },
    ]);
  });

  test("may name one VolumeSnapshotClass that only one of them has", () => {
    const snapshots = { className: "snapshots" };
    const settings = both({
      joviandss: { snapshots: { ...snapshots, enabled: true } },
      synology: { snapshots },
    });
    expect(csiProblems({ ...settings, snapshotController: snapshotControllerSchema.parse({}) })).toEqual([]);
  });

  // Each driver waits for the snapshot controller, and its namespace comes and goes with it.
  test("do not lend their namespace to the snapshot controller", () => {
    const inNamespace = (namespace: string) => ({
      ...both(),
      snapshotController: snapshotControllerSchema.parse({ namespace }),
    });
    expect(csiProblems(inNamespace("synology-csi"))).toEqual([
      {
        path: "snapshotController.namespace",
        reason: expect.stringMatching(
          /synology-csi is created after.*deleted with.*synology.namespace/,
        ) as string,
      },
    ]);
    expect(csiProblems(inNamespace("snapshots"))).toEqual([]);
  });

  test("refuse nsenter with workload isolation, each on its own", () => {
    const settings = both({
      joviandss: { iscsiadm: { strategy: "nsenter" } },
      synology: { iscsiadm: { strategy: "nsenter" } },
    });
    expect(csiProblems(settings)).toEqual([]);
    expect(csiProblems(settings, { workloadIsolation: true }).map(({ path }) => path)).toEqual([
      "joviandss.iscsiadm.strategy",
      "synology.iscsiadm.strategy",
    ]);
  });

  test("need the snapshot controller for snapshots", () => {
    const settings = both({ joviandss: { snapshots: { enabled: true } } });
    expect(csiProblems(settings)).toEqual([
      {
        path: "joviandss.snapshots.enabled",
        reason: expect.stringContaining("snapshotController: {}") as string,
      },
    ]);
    for (const install of [true, false]) {
      expect(
        csiProblems({ ...settings, snapshotController: snapshotControllerSchema.parse({ install }) }),
      ).toEqual([]);
    }
  });
});
