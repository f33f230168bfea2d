import { describe, expect, test } from "vitest";
import type { IscsiDriver } from "../../../components/csi/iscsiDriver.ts";
import type { JovianDssSettingsInput } from "../../../components/csi/joviandssSettings.ts";
import { shimsOf } from "../../../components/csi/shims.ts";
import { registerDriver } from "./joviandssDeployment.ts";
import { digest } from "./plainSettings.ts";
import { valueAt, onlyResource, decodeBase64 } from "./recorder.ts";
import {
  containerNamed,
  containersOf,
  onlyDaemonSet,
  onlyDeployment,
  objectNames,
  podOf,
} from "./workloads.ts";

describe("options", () => {
  test.each(["chroot", "nsenter"] as const)(
    "%s: our iscsiadm and mount are mounted over the image's",
    async (strategy) => {
      const resources = await registerDriver({ iscsiadm: { strategy } });
      expect(podOf(onlyDaemonSet(resources)).hostPID).toBe(strategy === "nsenter" ? true : undefined);
      for (const file of ["iscsiadm", "mount"]) {
        expect(containerNamed(onlyDaemonSet(resources), "csi-node").volumeMounts).toContainEqual({
          name: "shims",
          mountPath: `/usr/local/bin/${file}`,
          subPath: file,
          readOnly: true,
        });
      }
      expect(podOf(onlyDaemonSet(resources)).volumes).toContainEqual({
        name: "shims",
        // 0555
        secret: { secretName: "joviandss-csi-shims", defaultMode: 365 },
      });
      const shims = onlyResource(resources, "kubernetes:core/v1:Secret", "joviandss-shims");
      expect(shims.inputs).toMatchObject({
        metadata: { name: "joviandss-csi-shims", namespace: "joviandss-csi" },
      });
      const driver = { iscsiadm: { strategy }, restagesUnsafely: true } as IscsiDriver;
      expect(shimsOf(driver).map(({ file }) => file)).toEqual(["iscsiadm", "mount"]);
      for (const { file, content } of shimsOf(driver))
        expect(decodeBase64(valueAt(shims.inputs, "data", "secret", file))).toBe(content);
      expect(onlyResource(resources, "kubernetes:apps/v1:DaemonSet").after).toContain(shims.name);
    },
  );

  test("more replicas elect a leader, with the right to leases in their own namespace", async () => {
    const resources = await registerDriver({ controller: { replicas: 2 } });
    for (const sidecar of ["csi-provisioner", "csi-attacher"]) {
      expect(containerNamed(onlyDeployment(resources), sidecar).args).toEqual(
        expect.arrayContaining(["--leader-election", "--leader-election-namespace=joviandss-csi"]),
      );
    }
    expect(onlyResource(resources, "kubernetes:rbac.authorization.k8s.io/v1:Role").inputs).toMatchObject({
      metadata: { namespace: "joviandss-csi" },
      rules: [{ apiGroups: ["coordination.k8s.io"], resources: ["leases"] }],
    });
    expect(
      valueAt(
        onlyResource(resources, "kubernetes:rbac.authorization.k8s.io/v1:RoleBinding").inputs,
        "subjects",
      ),
    ).toEqual([
      {
        kind: "ServiceAccount",
        name: "joviandss-csi-controller-service-account",
        namespace: "joviandss-csi",
      },
    ]);
    expect(valueAt(onlyDeployment(resources), "spec", "strategy")).toEqual({
      type: "RollingUpdate",
      rollingUpdate: { maxUnavailable: 1, maxSurge: 0 },
    });
  });

  test("snapshots add the snapshotter and the class", async () => {
    const resources = await registerDriver({ snapshots: { enabled: true, default: true } });
    expect(containerNamed(onlyDeployment(resources), "csi-snapshotter").image).toBe(
      "registry.k8s.io/sig-storage/csi-snapshotter:v8.6.0",
    );
    expect(
      onlyResource(resources, "kubernetes:snapshot.storage.k8s.io/v1:VolumeSnapshotClass").inputs,
    ).toEqual({
      apiVersion: "snapshot.storage.k8s.io/v1",
      kind: "VolumeSnapshotClass",
      metadata: {
        name: "joviandss-snapshot-sc",
        annotations: { "snapshot.storage.kubernetes.io/is-default-class": "true" },
      },
      driver: "iscsi.csi.joviandss.open-e.com",
      deletionPolicy: "Delete",
    });
  });

  test("each entry becomes a StorageClass, and one of them can be the default", async () => {
    const storageClasses = [
      { name: "fast", default: true, fsType: "xfs" as const, mountOptions: ["noatime"] },
      { name: "plain", reclaimPolicy: "Retain" as const },
    ];
    const resources = await registerDriver({ pools: [{ name: "Pool-0", storageClasses }] });
    expect(
      onlyResource(resources, "kubernetes:storage.k8s.io/v1:StorageClass", "joviandss-fast").inputs,
    ).toMatchObject({
      metadata: { name: "fast", annotations: { "storageclass.kubernetes.io/is-default-class": "true" } },
      parameters: { "csi.storage.k8s.io/fstype": "xfs" },
      mountOptions: ["noatime"],
    });
    expect(
      onlyResource(resources, "kubernetes:storage.k8s.io/v1:StorageClass", "joviandss-plain").inputs,
    ).toMatchObject({ reclaimPolicy: "Retain" });
  });

  test("a mirror serves all images including the driver's, and single images can be overridden", async () => {
    const resources = await registerDriver({
      registry: "mirror.example.com:5000/k8s",
      images: { attacher: "example.com/attacher:v1" },
    });
    const images = [
      ...containersOf(onlyDeployment(resources)),
      ...containersOf(onlyDaemonSet(resources)),
    ].map(({ name, image }) => [name, image]);
    expect(Object.fromEntries(images)).toEqual({
      "csi-controller": `mirror.example.com:5000/k8s/opene/joviandss-csi@${digest}`,
      "csi-node": `mirror.example.com:5000/k8s/opene/joviandss-csi@${digest}`,
      "csi-provisioner": "mirror.example.com:5000/k8s/sig-storage/csi-provisioner:v6.3.0",
      "csi-attacher": "example.com/attacher:v1",
      "csi-registrar": "mirror.example.com:5000/k8s/sig-storage/csi-node-driver-registrar:v2.17.0",
      "liveness-probe": "mirror.example.com:5000/k8s/sig-storage/livenessprobe:v2.19.0",
    });
  });

  test("a controller on the host network has its health check on loopback", async () => {
    const resources = await registerDriver({ controller: { hostNetwork: true } });
    expect(podOf(onlyDeployment(resources))).toMatchObject({
      hostNetwork: true,
      dnsPolicy: "ClusterFirstWithHostNet",
    });
    expect(containerNamed(onlyDeployment(resources), "liveness-probe").args).toContain(
      "--http-endpoint=127.0.0.1:29812",
    );
    expect(containerNamed(onlyDeployment(resources), "csi-controller").livenessProbe?.httpGet).toEqual({
      path: "/healthz",
      port: 29812,
      host: "127.0.0.1",
    });
  });

  test("the node part can be kept off control planes", async () => {
    const resources = await registerDriver({ node: { controlPlanes: false } });
    expect(JSON.stringify(podOf(onlyDaemonSet(resources)).affinity)).toContain(
      '"key":"node-role.kubernetes.io/control-plane","operator":"DoesNotExist"',
    );
  });

  test("transform changes one field of a child and keeps the rest", async () => {
    const plain = await registerDriver();
    const resources = await registerDriver({
      transform: {
        node: { spec: { template: { spec: { terminationGracePeriodSeconds: 5 } } } },
        namespace: (args) => ({
          ...args,
          metadata: { ...(args.metadata as object), annotations: { team: "storage" } },
        }),
      },
    });
    const changed = structuredClone(onlyDaemonSet(plain));
    Object.assign(podOf(changed), { terminationGracePeriodSeconds: 5 });
    expect(onlyDaemonSet(resources)).toEqual(changed);
    expect(onlyResource(resources, "kubernetes:core/v1:Namespace").inputs.metadata).toMatchObject({
      name: "joviandss-csi",
      annotations: { team: "storage" },
    });
  });

  test("a second pool is a separate driver with its own image", async () => {
    const image = `registry.example.com/joviandss-csi-pool1@${digest}`;
    const resources = await registerDriver({
      pools: [{ name: "Pool-0" }, { name: "Pool_1", driver: { name: "pool-1.csi.example.com", image } }],
    });
    const drivers = resources
      .filter(({ type }) => type === "kubernetes:storage.k8s.io/v1:CSIDriver")
      .map(({ inputs }) => valueAt(inputs, "metadata", "name"));
    expect(drivers).toEqual(["iscsi.csi.joviandss.open-e.com", "pool-1.csi.example.com"]);
    const second = onlyResource(resources, "kubernetes:apps/v1:DaemonSet", "joviandss-pool-1-node").inputs;
    expect(second.metadata).toMatchObject({
      name: "joviandss-csi-pool-1-node",
      namespace: "joviandss-csi-pool-1",
    });
    expect(containerNamed(second, "csi-node").image).toBe(image);
    expect(containerNamed(second, "liveness-probe").args).toContain("--http-endpoint=127.0.0.1:29813");
    expect(
      onlyResource(
        resources,
        "kubernetes:storage.k8s.io/v1:StorageClass",
        "joviandss-pool-1-joviandss-sc-pool-1",
      ).inputs.provisioner,
    ).toBe("pool-1.csi.example.com");
    const names = objectNames(resources);
    expect(new Set(names).size).toBe(names.length);
  });

  test("the longest name of a pool fits into labels", async () => {
    const driver = { name: "p.example.com", image: `registry.example.com/p@${digest}` };
    const resources = await registerDriver({ pools: [{ name: "p".repeat(40), driver }] });
    for (const type of ["kubernetes:apps/v1:DaemonSet", "kubernetes:apps/v1:Deployment"]) {
      const labels = onlyResource(resources, type).inputs.metadata as { labels: Record<string, string> };
      for (const value of Object.values(labels.labels)) expect(value.length).toBeLessThanOrEqual(63);
    }
  });

  // Its pods share the node's network with those of the removed pool, which go last: on the same ports, neither would ever be done.
  test("a pool can keep its health ports when one before it is removed", async () => {
    const endpointsOf = async (...pools: JovianDssSettingsInput["pools"]) =>
      containersOf(
        onlyResource(await registerDriver({ pools }), "kubernetes:apps/v1:DaemonSet", "joviandss-pool-1-node")
          .inputs,
      ).flatMap(({ args }) => args.filter((arg) => arg.startsWith("--http-endpoint=")));
    const image = `registry.example.com/joviandss-csi-pool1@${digest}`;
    const second = { name: "Pool-1", driver: { name: "pool-1.csi.example.com", image } };
    const before = await endpointsOf({ name: "Pool-0" }, second);
    expect(await endpointsOf({ ...second, healthPort: 29813 })).toEqual(before);
  });
});
