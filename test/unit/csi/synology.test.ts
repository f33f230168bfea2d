import * as pulumi from "@pulumi/pulumi";
import { beforeAll, describe, expect, test } from "vitest";
import { parse } from "yaml";
import { SynologyCsi } from "../../../components/csi/synology.ts";
import type { SynologyCsiArgs } from "../../../components/csi/synology.ts";
import { valueAt, onlyResource, record, decodeBase64 } from "./recorder.ts";
import type { Registered } from "./recorder.ts";
import {
  checksumOf,
  containerNamed,
  containersOf,
  onlyDaemonSet,
  onlyDeployment,
  podOf,
} from "./workloads.ts";

const minimal: SynologyCsiArgs = {
  arrays: [{ host: "192.168.0.20", username: "kubernetes", password: "hunter2" }],
};

async function deploy(args: Partial<SynologyCsiArgs> = {}): Promise<Registered[]> {
  return (await record(() => new SynologyCsi("synology", { ...minimal, ...args }))).resources;
}

const config = (resources: Registered[]) => {
  const secret = onlyResource(resources, "kubernetes:core/v1:Secret", "synology-config").inputs;
  return parse(decodeBase64(valueAt(secret, "data", "secret", "client-info.yml"))) as unknown;
};

// Compared with synology-csi 2807900 (v1.2.1) deploy/kubernetes/v1.20.
describe("the driver's defaults", () => {
  let resources: Registered[];
  beforeAll(async () => {
    resources = await deploy();
  });

  test("use upstream's image, not a fork", () => {
    expect(containerNamed(onlyDeployment(resources), "csi-plugin").image).toBe(
      "docker.io/synology/synology-csi:v1.2.1",
    );
    expect(containerNamed(onlyDaemonSet(resources), "csi-plugin").image).toBe(
      "docker.io/synology/synology-csi:v1.2.1",
    );
  });

  test.each([
    [
      "csi-plugin",
      [
        "--nodeid=NotUsed",
        "--endpoint=unix:///csi/csi.sock",
        "--client-info=/etc/synology/client-info.yml",
        "--log-level=info",
      ],
    ],
    [
      "csi-provisioner",
      ["--csi-address=/csi/csi.sock", "--timeout=60s", "--extra-create-metadata", "--default-fstype=ext4"],
    ],
    ["csi-attacher", ["--csi-address=/csi/csi.sock", "--timeout=60s"]],
    ["csi-resizer", ["--csi-address=/csi/csi.sock", "--timeout=60s"]],
    ["liveness-probe", ["--csi-address=/csi/csi.sock", "--http-endpoint=:29802"]],
  ])("run the controller's %s with %j", (name, args) => {
    expect(containerNamed(onlyDeployment(resources), name).args).toEqual(args);
  });

  test.each([
    [
      "csi-plugin",
      [
        "--nodeid=$(KUBE_NODE_NAME)",
        "--endpoint=unix:///csi/csi.sock",
        "--client-info=/etc/synology/client-info.yml",
        "--log-level=info",
        "--chroot-dir=/host",
        "--iscsiadm-path=/usr/local/sbin/iscsiadm",
        "--multipath=false",
      ],
    ],
    [
      "csi-registrar",
      [
        "--csi-address=/csi/csi.sock",
        "--kubelet-registration-path=/var/lib/kubelet/plugins/csi.san.synology.com/csi.sock",
        "--http-endpoint=127.0.0.1:29801",
      ],
    ],
    ["liveness-probe", ["--csi-address=/csi/csi.sock", "--http-endpoint=127.0.0.1:29800"]],
  ])("run the node's %s with %j", (name, args) => {
    expect(containerNamed(onlyDaemonSet(resources), name).args).toEqual(args);
  });

  test("mount what the node's plugin needs", () => {
    expect(containerNamed(onlyDaemonSet(resources), "csi-plugin").volumeMounts).toEqual([
      { name: "socket-dir", mountPath: "/csi" },
      { name: "kubelet-dir", mountPath: "/var/lib/kubelet", mountPropagation: "Bidirectional" },
      { name: "host-root", mountPath: "/host", mountPropagation: "HostToContainer" },
      { name: "device-dir", mountPath: "/dev" },
      { name: "config", mountPath: "/etc/synology", readOnly: true },
    ]);
    expect(podOf(onlyDaemonSet(resources)).volumes).toEqual([
      {
        name: "socket-dir",
        hostPath: { path: "/var/lib/kubelet/plugins/csi.san.synology.com/", type: "DirectoryOrCreate" },
      },
      {
        name: "registration-dir",
        hostPath: { path: "/var/lib/kubelet/plugins_registry/", type: "Directory" },
      },
      { name: "kubelet-dir", hostPath: { path: "/var/lib/kubelet", type: "Directory" } },
      { name: "host-root", hostPath: { path: "/", type: "Directory" } },
      { name: "device-dir", hostPath: { path: "/dev", type: "Directory" } },
      { name: "config", secret: { secretName: "client-info-secret", defaultMode: 256 } },
    ]);
  });

  test("list the array in client-info.yml, with the port for https", () => {
    expect(config(resources)).toEqual({
      clients: [
        { host: "192.168.0.20", port: 5001, https: true, username: "kubernetes", password: "hunter2" },
      ],
    });
  });

  test("declare the CSIDriver and a StorageClass", () => {
    expect(onlyResource(resources, "kubernetes:storage.k8s.io/v1:CSIDriver").inputs).toMatchObject({
      metadata: { name: "csi.san.synology.com" },
      spec: {
        attachRequired: true,
        podInfoOnMount: true,
        fsGroupPolicy: "ReadWriteOnceWithFSType",
        volumeLifecycleModes: ["Persistent"],
      },
    });
    const { inputs } = onlyResource(resources, "kubernetes:storage.k8s.io/v1:StorageClass");
    expect(inputs).toMatchObject({
      metadata: { name: "synology-iscsi-storage" },
      provisioner: "csi.san.synology.com",
      reclaimPolicy: "Retain",
      allowVolumeExpansion: true,
    });
    expect(inputs.parameters).toEqual({
      protocol: "iscsi",
      "csi.storage.k8s.io/fstype": "ext4",
      thin_provisioning: "true",
    });
  });

  test("give the node part a token, without which it exits, but no rights", () => {
    const accounts = ["synology-controller-account", "synology-node-account"].map(
      (name) => onlyResource(resources, "kubernetes:core/v1:ServiceAccount", name).inputs,
    );
    expect(accounts.map((account) => account.automountServiceAccountToken)).toEqual([true, true]);
    expect(
      resources.filter(({ type }) => type === "kubernetes:rbac.authorization.k8s.io/v1:ClusterRole"),
    ).toHaveLength(1);
  });

  test("let the resizer do its work, and give no access to Secrets", () => {
    const { rules } = onlyResource(resources, "kubernetes:rbac.authorization.k8s.io/v1:ClusterRole")
      .inputs as {
      rules: { apiGroups: string[]; resources: string[]; verbs: string[] }[];
    };
    expect(rules).toContainEqual({
      apiGroups: [""],
      resources: ["persistentvolumeclaims/status"],
      verbs: ["patch"],
    });
    expect(rules.flatMap((rule) => rule.resources)).not.toContain("secrets");
    const named = rules.map(({ apiGroups, resources: [resource] }) => `${apiGroups[0]}/${resource}`);
    expect(new Set(named).size).toBe(named.length);
  });
});

test("several arrays keep their order, passwords, and https or http", async () => {
  const arrays: SynologyCsiArgs["arrays"] = [
    { host: "a.example.com", username: "u1", password: "p1" },
    { host: "b.example.com", username: "u2", password: pulumi.secret("p2"), https: false, allowHttp: true },
    { host: "c.example.com", username: "u3", password: "p3", port: 8443 },
  ];
  const resources = await deploy({ arrays });
  expect(config(resources)).toEqual({
    clients: [
      { host: "a.example.com", port: 5001, https: true, username: "u1", password: "p1" },
      { host: "b.example.com", port: 5000, https: false, username: "u2", password: "p2" },
      { host: "c.example.com", port: 8443, https: true, username: "u3", password: "p3" },
    ],
  });
  expect(valueAt(resources[0]?.inputs, "arrays", 0)).toMatchObject({
    host: "a.example.com",
    password: { secret: "p1" },
  });
});

test("a changed password restarts both parts, since both log in", async () => {
  const before = await deploy();
  const after = await deploy({
    arrays: [{ host: "192.168.0.20", username: "kubernetes", password: "hunter3" }],
  });
  for (const workload of [onlyDeployment, onlyDaemonSet]) {
    expect(checksumOf(workload(before))).toMatch(/^[0-9a-f]{16}$/);
    expect(checksumOf(workload(after))).not.toBe(checksumOf(workload(before)));
  }
});

describe("a StorageClass", () => {
  test.each<[string, NonNullable<SynologyCsiArgs["storageClasses"]>[number], object]>([
    [
      "iSCSI, every parameter",
      {
        name: "s",
        array: "192.168.0.20",
        location: "/volume2",
        fsType: "btrfs",
        formatOptions: "-K",
        lunType: "BLUN",
        spaceReclamation: true,
        fuaSyncCache: true,
        reclaimPolicy: "Delete",
        volumeBindingMode: "WaitForFirstConsumer",
        allowVolumeExpansion: false,
        mountOptions: ["noatime"],
      },
      {
        parameters: {
          protocol: "iscsi",
          dsm: "192.168.0.20",
          location: "/volume2",
          "csi.storage.k8s.io/fstype": "btrfs",
          formatOptions: "-K",
          type: "BLUN",
          thin_provisioning: "true",
          enableSpaceReclamation: "true",
          enableFuaSyncCache: "true",
        },
        reclaimPolicy: "Delete",
        volumeBindingMode: "WaitForFirstConsumer",
        allowVolumeExpansion: false,
        mountOptions: ["noatime"],
      },
    ],
    [
      "SMB",
      {
        name: "s",
        protocol: "smb",
        nodeStageSecret: { name: "smb", namespace: "default" },
        mountOptions: ["dir_mode=0750"],
      },
      {
        parameters: {
          protocol: "smb",
          "csi.storage.k8s.io/node-stage-secret-name": "smb",
          "csi.storage.k8s.io/node-stage-secret-namespace": "default",
        },
        mountOptions: ["dir_mode=0750"],
      },
    ],
    [
      "NFS",
      { name: "s", protocol: "nfs", nfsVersion: "4", mountPermissions: "0770", mountOptions: ["hard"] },
      { parameters: { protocol: "nfs", mountPermissions: "0770" }, mountOptions: ["nfsvers=4", "hard"] },
    ],
  ])("has the right parameters: %s", async (_, entry, expected) => {
    const inputs = onlyResource(
      await deploy({ storageClasses: [entry] }),
      "kubernetes:storage.k8s.io/v1:StorageClass",
    ).inputs;
    expect(inputs).toMatchObject(expected);
    expect(inputs.parameters).toEqual((expected as { parameters: unknown }).parameters);
  });
});

test("snapshots add the snapshotter and a class with the driver's parameters", async () => {
  const resources = await deploy({ snapshots: { enabled: true, description: "nightly", locked: true } });
  expect(containersOf(onlyDeployment(resources)).map(({ name }) => name)).toContain("csi-snapshotter");
  expect(
    onlyResource(resources, "kubernetes:snapshot.storage.k8s.io/v1:VolumeSnapshotClass").inputs,
  ).toMatchObject({
    metadata: { name: "synology-snapshotclass" },
    driver: "csi.san.synology.com",
    parameters: { description: "nightly", is_locked: "true" },
  });
});

test("nsenter replaces chroot with the wrapper", async () => {
  const resources = await deploy({ iscsiadm: { strategy: "nsenter" } });
  const { args, volumeMounts } = containerNamed(onlyDaemonSet(resources), "csi-plugin");
  expect(args).toContain("--iscsiadm-path=/usr/local/bin/iscsiadm");
  expect(args.join(" ")).not.toContain("--chroot-dir");
  expect(volumeMounts).toContainEqual({
    name: "shims",
    mountPath: "/usr/local/bin/iscsiadm",
    subPath: "iscsiadm",
    readOnly: true,
  });
  expect(podOf(onlyDaemonSet(resources)).hostPID).toBe(true);
});

test("chroot needs no wrapper, since the driver finds its sessions and mounts itself", async () => {
  const resources = await deploy();
  const { volumeMounts } = containerNamed(onlyDaemonSet(resources), "csi-plugin");
  expect(volumeMounts.map(({ name }) => name)).not.toContain("shims");
  expect(resources.map(({ name }) => name)).not.toContain("synology-shims");
});

test("multipath adds the paths of its tools", async () => {
  const { args } = containerNamed(onlyDaemonSet(await deploy({ multipath: {} })), "csi-plugin");
  expect(args).toEqual(
    expect.arrayContaining([
      "--multipath-path=/usr/local/sbin/multipath",
      "--multipathd-path=/usr/local/sbin/multipathd",
    ]),
  );
  expect(args).not.toContain("--multipath=false");
});

describe("network shares", () => {
  const shared = {
    storageClasses: [{ name: "synology-iscsi-storage" }, { name: "files", protocol: "nfs" as const }],
  };

  test("let the node part look up nodes for NFS, and nothing else", async () => {
    const resources = await deploy(shared);
    const role = onlyResource(
      resources,
      "kubernetes:rbac.authorization.k8s.io/v1:ClusterRole",
      "synology-node-cluster-role",
    );
    expect(role.inputs.rules).toEqual([{ apiGroups: [""], resources: ["nodes"], verbs: ["get", "list"] }]);
    const binding = onlyResource(
      resources,
      "kubernetes:rbac.authorization.k8s.io/v1:ClusterRoleBinding",
      "synology-node-cluster-role-binding",
    );
    expect(valueAt(binding.inputs, "subjects", 0, "name")).toBe("synology-csi-node-service-account");
  });

  test("turn off the default file system type, since fsGroup would walk through a share", async () => {
    const args = containerNamed(onlyDeployment(await deploy(shared)), "csi-provisioner").args;
    expect(args.filter((arg) => arg.startsWith("--default-fstype"))).toEqual([]);
  });
});

test("explicit options are sent to the array, false included", async () => {
  const storageClasses = [{ name: "a", spaceReclamation: true, fuaSyncCache: false }];
  const { inputs } = onlyResource(
    await deploy({ storageClasses }),
    "kubernetes:storage.k8s.io/v1:StorageClass",
  );
  expect(inputs.parameters).toMatchObject({ enableSpaceReclamation: "true", enableFuaSyncCache: "false" });
});

test.each([
  [1, false, undefined],
  [2, false, "preferredDuringSchedulingIgnoredDuringExecution"],
  [2, true, "requiredDuringSchedulingIgnoredDuringExecution"],
])("%i replicas with hostNetwork %s have anti-affinity %s", async (replicas, hostNetwork, rule) => {
  const resources = await deploy({ controller: { replicas, hostNetwork } });
  const affinity = valueAt(podOf(onlyDeployment(resources)), "affinity", "podAntiAffinity");
  expect(Object.keys((affinity as object | undefined) ?? {})).toEqual(rule === undefined ? [] : [rule]);
});
