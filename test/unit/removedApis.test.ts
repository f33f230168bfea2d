import { describe, expect, it, onTestFinished, vi } from "vitest";
import { KNOWN_CONTRACTS, supportedKubernetesRange } from "../../talos/releases.ts";
import * as removedApis from "../../talos/removedApis.ts";
import { runProgram } from "./components/program.ts";
import { ofType, onlyResource } from "./components/recorder.ts";
import { bundle, canary, withValues, talosconfig, usualSettings } from "./settings/example.ts";

const everyDriver = () =>
  withValues(usualSettings(), {
    kubernetesVersion: "v1.36.1",
    talosContract: "v1.12",
    "cluster.secrets": { bundle, talosconfig },
    snapshotController: { install: true },
    joviandss: {
      image: "docker.io/opene/joviandss-csi:v1.0",
      endpoint: { addresses: ["192.168.0.100"], user: "admin", password: canary },
      iscsi: { addresses: ["192.168.0.100"] },
      pools: [{ name: "Pool-0" }],
    },
    synology: { arrays: [{ host: "192.168.0.20", username: "kubernetes", password: canary }] },
  });

it.each([
  ["kubernetes:batch/v1beta1:CronJob", "v1.25.0", ["CronJob of batch/v1beta1 (gone in v1.25)"]],
  ["kubernetes:batch/v1beta1:CronJob", "v1.24.9", []],
  ["kubernetes:batch/v1:CronJob", "v1.37.0", []],
  [
    "kubernetes:storage.k8s.io/v1beta1:VolumeAttributesClass",
    "v1.37.0-rc.1",
    ["VolumeAttributesClass of storage.k8s.io/v1beta1 (gone in v1.37)"],
  ],
  ["kubernetes:storage.k8s.io/v1beta1:VolumeAttributesClass", "v1.36.1", []],
  [
    "kubernetes:storage.k8s.io/v1beta1:CSIStorageCapacity",
    "v1.36.1",
    ["CSIStorageCapacity of storage.k8s.io/v1beta1 (gone in v1.27)"],
  ],
  ["talos-node:index:NodeUpgrade", "v1.36.1", []],
])("of %s, Kubernetes %s no longer has %j", (type, release, found) => {
  expect(removedApis.removedObjects([type, type], release)).toEqual(found);
});

describe("a stack with every driver", () => {
  it("declares nothing that the newest Kubernetes of a known Talos has removed", async () => {
    const { resources } = await runProgram(everyDriver());
    const types = resources.map(({ type }) => type).filter((type) => type.startsWith("kubernetes:"));
    expect(types.length).toBeGreaterThan(20);
    const newest = supportedKubernetesRange(`${KNOWN_CONTRACTS.at(-1) ?? ""}.0`)?.newest ?? "";
    expect(removedApis.removedObjects(types, `${newest}.0`)).toEqual([]);
    expect(
      onlyResource(resources, "talos-node:index:KubernetesUpgrade", "kubernetes-upgrade").inputs[
        "removedObjects"
      ],
    ).toBeUndefined();
  });

  it("passes removed objects to the KubernetesUpgrade resource", async () => {
    // Reloading modules would register a second copy of the SDKs in a process that other tests share.
    const spy = vi
      .spyOn(removedApis, "removedObjects")
      .mockImplementation((types) => [...types].filter((type) => /:(?:DaemonSet|StorageClass)$/.test(type)));
    onTestFinished(() => spy.mockRestore());
    const { resources } = await runProgram(everyDriver());
    const upgrade = onlyResource(resources, "talos-node:index:KubernetesUpgrade", "kubernetes-upgrade");
    expect(ofType(resources, "kubernetes:apps/v1:DaemonSet").length).toBeGreaterThan(0);
    expect(upgrade.inputs["removedObjects"]).toEqual([
      "kubernetes:apps/v1:DaemonSet",
      "kubernetes:storage.k8s.io/v1:StorageClass",
    ]);
  });
});
