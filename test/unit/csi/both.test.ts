import { expect, test } from "vitest";
import { JovianDssCsi } from "../../../components/csi/joviandss.ts";
import { SnapshotController } from "../../../components/csi/snapshots.ts";
import { SynologyCsi } from "../../../components/csi/synology.ts";
import { minimal } from "./joviandssDeployment.ts";
import { record } from "./recorder.ts";
import type { Registered } from "./recorder.ts";
import { containersOf, objectNames, podOf } from "./workloads.ts";

// The largest footprint of each: host network, leader election, nsenter and snapshots.
async function deployAll(): Promise<Registered[]> {
  const wide = {
    controller: { replicas: 2, hostNetwork: true },
    iscsiadm: { strategy: "nsenter" as const },
    snapshots: { enabled: true },
  };
  const { resources } = await record(() => [
    new SnapshotController("snapshots"),
    new JovianDssCsi("joviandss", { ...minimal, ...wide }),
    new SynologyCsi("synology", {
      arrays: [{ host: "192.168.0.20", username: "kubernetes", password: "x" }],
      ...wide,
    }),
  ]);
  return resources;
}

test("the drivers and the snapshot controller share no object in the cluster", async () => {
  const names = objectNames(await deployAll());
  expect(names.length).toBeGreaterThan(35);
  expect(names.filter((name, index) => names.indexOf(name) !== index)).toEqual([]);
});

test("they share no Pulumi name within a type", async () => {
  const urns = (await deployAll()).map(({ type, name }) => `${type} ${name}`);
  expect(urns.filter((urn, index) => urns.indexOf(urn) !== index)).toEqual([]);
});

test("no two host network pods share a port, and all listen on loopback", async () => {
  const workloads = (await deployAll()).filter(({ type }) => /:(Deployment|DaemonSet)$/.test(type));
  const inHostNetwork = workloads.filter(({ inputs }) => podOf(inputs).hostNetwork === true);
  const endpoints = inHostNetwork.flatMap(({ inputs }) =>
    containersOf(inputs).flatMap(({ args }) => args.filter((arg) => arg.startsWith("--http-endpoint="))),
  );
  expect(inHostNetwork).toHaveLength(4);
  expect(endpoints).toHaveLength(6);
  expect(new Set(endpoints).size).toBe(6);
  for (const endpoint of endpoints) expect(endpoint).toMatch(/^--http-endpoint=127\.0\.0\.1:298\d\d$/);
});

test("only the snapshot controller owns the snapshot CRDs", async () => {
  const resources = await deployAll();
  const crds = resources.filter(({ type }) => type.endsWith(":CustomResourceDefinition"));
  expect(crds.map(({ parent }) => parent)).toEqual(
    Array(3).fill("talos-iscsi:index:SnapshotController::snapshots"),
  );
  const snapshotters = resources.flatMap(({ inputs, type }) =>
    type.endsWith(":Deployment")
      ? containersOf(inputs).filter(({ name }) => name === "snapshot-controller")
      : [],
  );
  expect(snapshotters).toHaveLength(1);
});
