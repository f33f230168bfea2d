import { beforeAll, describe, expect, test } from "vitest";
import { SnapshotController } from "../../../components/csi/snapshots.ts";
import type { SnapshotControllerArgs } from "../../../components/csi/snapshots.ts";
import { valueAt, onlyResource, record } from "./recorder.ts";
import type { Registered } from "./recorder.ts";
import { containersOf, onlyDeployment, podOf } from "./workloads.ts";

async function deploy(args?: SnapshotControllerArgs): Promise<Registered[]> {
  return (await record(() => new SnapshotController("snapshots", args))).resources;
}

// Compared with external-snapshotter v8.6.0 (deploy/kubernetes/snapshot-controller, client/config/crd).
describe("the snapshot controller", () => {
  let resources: Registered[];
  beforeAll(async () => {
    resources = await deploy();
  });

  test.each([
    ["snapshots-volumesnapshotclasses", "Cluster", "VolumeSnapshotClass", false],
    ["snapshots-volumesnapshotcontents", "Cluster", "VolumeSnapshotContent", true],
    ["snapshots-volumesnapshots", "Namespaced", "VolumeSnapshot", true],
  ])("installs the CRD %s: %s %s", (name, scope, kind, hasStatus) => {
    const { metadata, spec } = onlyResource(
      resources,
      "kubernetes:apiextensions.k8s.io/v1:CustomResourceDefinition",
      name,
    ).inputs;
    expect(metadata).toMatchObject({
      annotations: { "api-approved.kubernetes.io": expect.stringMatching(/^https:/) as string },
    });
    expect(spec).toMatchObject({
      group: "snapshot.storage.k8s.io",
      scope,
      names: { kind },
      versions: [{ name: "v1", served: true, storage: true }],
    });
    expect(valueAt(spec, "versions", 0, "subresources")).toEqual(hasStatus ? { status: {} } : undefined);
    expect(valueAt(spec, "versions", 0, "schema", "openAPIV3Schema", "type")).toBe("object");
  });

  // Deleting a CRD deletes all snapshots of every driver: on destroy, or with install: false to hand over to another installation.
  test("leaves its CRDs in the cluster when it is removed", () => {
    const kept = resources.filter(({ retainOnDelete }) => retainOnDelete).map(({ name }) => name);
    expect(kept.sort()).toEqual([
      "snapshots-volumesnapshotclasses",
      "snapshots-volumesnapshotcontents",
      "snapshots-volumesnapshots",
    ]);
  });

  test("starts after its CRDs and rights, with two replicas and a leader", () => {
    const controller = onlyResource(resources, "kubernetes:apps/v1:Deployment");
    expect(controller.after).toEqual(
      expect.arrayContaining([
        "snapshots-volumesnapshots",
        "snapshots-volumesnapshotclasses",
        "snapshots-volumesnapshotcontents",
        "snapshots-cluster-role-binding",
        "snapshots-leader-election-binding",
      ]),
    );
    expect(controller.inputs.spec).toMatchObject({ replicas: 2, minReadySeconds: 35 });
    const [container] = containersOf(onlyDeployment(resources));
    expect(container?.image).toBe("registry.k8s.io/sig-storage/snapshot-controller:v8.6.0");
    expect(container?.args).toEqual(["--leader-election", "--leader-election-namespace=kube-system"]);
  });

  test("has the given tolerations, by default none", async () => {
    expect(podOf(onlyDeployment(resources)).tolerations).toBeUndefined();
    const tolerations = [{ key: "dedicated", operator: "Exists" as const }];
    expect(podOf(onlyDeployment(await deploy({ tolerations }))).tolerations).toEqual(tolerations);
  });

  test("meets the pod security standard restricted", () => {
    expect(podOf(onlyDeployment(resources)).securityContext).toMatchObject({
      runAsNonRoot: true,
      seccompProfile: { type: "RuntimeDefault" },
    });
    expect(containersOf(onlyDeployment(resources))[0]?.securityContext).toEqual({
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ["ALL"] },
    });
  });

  test("does not create the namespace that it is given", () => {
    expect(resources.some(({ type }) => type === "kubernetes:core/v1:Namespace")).toBe(false);
  });
});

test("needs no leader with one replica, and uses the mirror for its image", async () => {
  const resources = await deploy({ replicas: 1, registry: "mirror.example.com", namespace: "snapshots" });
  expect(resources.some(({ type }) => type === "kubernetes:rbac.authorization.k8s.io/v1:Role")).toBe(false);
  const [container] = containersOf(onlyDeployment(resources));
  expect(container).toMatchObject({
    image: "mirror.example.com/sig-storage/snapshot-controller:v8.6.0",
    args: [],
  });
  expect(valueAt(onlyDeployment(resources), "metadata", "namespace")).toBe("snapshots");
});

test("refuses wrong arguments with their path", () => {
  expect(() => new SnapshotController("snapshots", { replicas: 0 })).toThrow(
    /replicas: 0 is not a number of replicas/,
  );
});
