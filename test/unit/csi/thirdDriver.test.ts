import { beforeAll, expect, test } from "vitest";
import { IscsiCsiDriver } from "../../../components/csi/iscsiCsiDriver.ts";
import { acme, deployAcme } from "../../../examples/thirdDriver.ts";
import { valueAt, onlyResource, record } from "./recorder.ts";
import type { Registered } from "./recorder.ts";
import { containerNamed, onlyDaemonSet, onlyDeployment, podOf } from "./workloads.ts";

// The example that docs/other-drivers.md refers to: a driver that needs things this program knows nothing about.
let resources: Registered[];

beforeAll(async () => {
  ({ resources } = await record(() => deployAcme()));
});

test("the node part gets a token and its rights, the controller its own rights in addition to the sidecars'", () => {
  const account = onlyResource(resources, "kubernetes:core/v1:ServiceAccount", "acme-node-account");
  expect(valueAt(account.inputs, "automountServiceAccountToken")).toBe(true);
  const rules = (name: string) =>
    valueAt(
      onlyResource(resources, "kubernetes:rbac.authorization.k8s.io/v1:ClusterRole", name).inputs,
      "rules",
    );
  expect(rules("acme-node-cluster-role")).toEqual([
    { apiGroups: [""], resources: ["nodes"], verbs: ["get"] },
  ]);
  expect(rules("acme-cluster-role")).toContainEqual({
    apiGroups: [""],
    resources: ["nodes"],
    verbs: ["get", "list", "watch"],
  });
});

test("a driver can have environment from a Secret, a volume from another Secret, and a folder of the node", () => {
  const controller = containerNamed(onlyDeployment(resources), "acme-controller");
  expect(controller.env).toEqual([
    { name: "ACME_API_KEY", valueFrom: { secretKeyRef: { name: "acme-api", key: "key" } } },
  ]);
  expect(controller.volumeMounts).toContainEqual({
    name: "array-ca",
    mountPath: "/etc/acme-ca",
    readOnly: true,
  });
  expect(podOf(onlyDeployment(resources)).volumes).toContainEqual({
    name: "array-ca",
    secret: { secretName: "acme-ca", defaultMode: 0o400 },
  });
  const node = containerNamed(onlyDaemonSet(resources), "acme-node");
  expect(node.env).toContainEqual({ name: "ISCSIADM", value: "chroot /host /usr/local/sbin/iscsiadm" });
  expect(node.volumeMounts).toContainEqual({ name: "state", mountPath: "/var/lib/acme" });
  expect(podOf(onlyDaemonSet(resources)).volumes).toContainEqual({
    name: "state",
    hostPath: { path: "/var/lib/acme", type: "DirectoryOrCreate" },
  });
});

test("sidecar arguments follow the base's, and CSIDriver fields are merged", () => {
  const { args } = containerNamed(onlyDeployment(resources), "csi-provisioner");
  expect(args.slice(-2)).toEqual(["--enable-capacity", "--capacity-ownerref-level=2"]);
  expect(args).toContain("--leader-election");
  expect(containerNamed(onlyDeployment(resources), "csi-attacher").args).not.toContain("--enable-capacity");
  expect(valueAt(onlyResource(resources, "kubernetes:storage.k8s.io/v1:CSIDriver").inputs, "spec")).toEqual({
    attachRequired: true,
    podInfoOnMount: false,
    fsGroupPolicy: "File",
    volumeLifecycleModes: ["Persistent"],
    storageCapacity: true,
  });
});

test("a volume that reuses a name of the base is refused", async () => {
  const { plugin } = acme.node;
  const volumes = [{ name: "config", mountPath: "/x", source: { emptyDir: true } }] as const;
  const driver = { ...acme, node: { ...acme.node, plugin: { ...plugin, volumes: [...volumes] } } };
  await expect(record(() => new IscsiCsiDriver("acme", { driver }))).rejects.toThrow(
    "config is a volume name that every driver already uses; use another name",
  );
});
