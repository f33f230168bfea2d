import { beforeAll, describe, expect, test } from "vitest";
import { registerDriver } from "./joviandssDeployment.ts";
import { valueAt, onlyResource } from "./recorder.ts";
import type { Registered } from "./recorder.ts";
import { containerNamed, containersOf, onlyDaemonSet, onlyDeployment, podOf } from "./workloads.ts";

// Arguments and rights of each driver process, against the official objects (open-e/joviandss-kubernetescsi c466239) with
// their defects D1 to D8 fixed (docs/joviandss.md).
describe("the driver's processes", () => {
  let resources: Registered[];
  beforeAll(async () => {
    resources = await registerDriver();
  });

  describe("controller", () => {
    test.each([
      [
        "csi-controller",
        [
          "--csi-address=/csi/csi.sock",
          "--soc-type=unix",
          "--config=/config/cfg.yaml",
          "--controller",
          "--identity",
        ],
      ],
      [
        "csi-provisioner",
        ["--csi-address=/csi/csi.sock", "--timeout=60s", "--extra-create-metadata", "--default-fstype=ext4"],
      ],
      ["csi-attacher", ["--csi-address=/csi/csi.sock", "--timeout=60s"]],
      ["liveness-probe", ["--csi-address=/csi/csi.sock", "--http-endpoint=:29812"]],
    ])("runs %s with %j", (name, args) => {
      expect(containerNamed(onlyDeployment(resources), name).args).toEqual(args);
    });

    test("runs no other container: no resizer (no expansion), and no snapshotter by default", () => {
      expect(containersOf(onlyDeployment(resources)).map(({ name }) => name)).toEqual([
        "csi-controller",
        "csi-provisioner",
        "csi-attacher",
        "liveness-probe",
      ]);
    });

    test("D4: has no access to the node", () => {
      expect(podOf(onlyDeployment(resources))).not.toHaveProperty("hostNetwork");
      expect(podOf(onlyDeployment(resources))).not.toHaveProperty("hostPID");
      expect(podOf(onlyDeployment(resources)).volumes).toEqual([
        { name: "socket-dir", emptyDir: {} },
        // 0400
        { name: "config", secret: { secretName: "jdss-controller-cfg", defaultMode: 256 } },
      ]);
      for (const { securityContext } of containersOf(onlyDeployment(resources))) {
        expect(securityContext).toEqual({
          privileged: false,
          allowPrivilegeEscalation: false,
          readOnlyRootFilesystem: true,
          capabilities: { drop: ["ALL"] },
          seccompProfile: { type: "RuntimeDefault" },
        });
      }
    });

    test("gives the configuration to the plugin only", () => {
      const mount = { name: "config", mountPath: "/config", readOnly: true };
      for (const { name, volumeMounts } of containersOf(onlyDeployment(resources))) {
        const expected = [
          { name: "socket-dir", mountPath: "/csi" },
          ...(name === "csi-controller" ? [mount] : []),
        ];
        expect(volumeMounts).toEqual(expected);
      }
    });

    test("never runs twice and elects no leader with a single replica", () => {
      expect(valueAt(onlyDeployment(resources), "spec", "replicas")).toBe(1);
      expect(valueAt(onlyDeployment(resources), "spec", "strategy")).toEqual({ type: "Recreate" });
    });
  });

  describe("node", () => {
    test.each([
      [
        "csi-node",
        [
          "--csi-address=/csi/csi.sock",
          "--soc-type=unix",
          "--nodeid=$(KUBE_NODE_NAME)",
          "--node",
          "--identity",
          "--loglevel=info",
        ],
      ],
      [
        "csi-registrar",
        [
          "--csi-address=/csi/csi.sock",
          "--kubelet-registration-path=/var/lib/kubelet/plugins/iscsi.csi.joviandss.open-e.com/csi.sock",
          "--http-endpoint=127.0.0.1:29811",
        ],
      ],
      ["liveness-probe", ["--csi-address=/csi/csi.sock", "--http-endpoint=127.0.0.1:29810"]],
    ])("runs %s with %j", (name, args) => {
      expect(containerNamed(onlyDaemonSet(resources), name).args).toEqual(args);
    });

    test("uses the node's iscsiadm by chroot", () => {
      expect(containerNamed(onlyDaemonSet(resources), "csi-node").env).toEqual([
        { name: "KUBE_NODE_NAME", valueFrom: { fieldRef: { fieldPath: "spec.nodeName" } } },
        { name: "ISCSIADM_HOST_STRATEGY", value: "chroot" },
        { name: "ISCSIADM_HOST_PATH", value: "/usr/local/sbin/iscsiadm" },
      ]);
    });

    test("D2: shares the staging directory with the kubelet", () => {
      expect(containerNamed(onlyDaemonSet(resources), "csi-node").volumeMounts).toEqual([
        { name: "socket-dir", mountPath: "/csi" },
        { name: "kubelet-dir", mountPath: "/var/lib/kubelet", mountPropagation: "Bidirectional" },
        { name: "host-root", mountPath: "/host", mountPropagation: "HostToContainer" },
        { name: "shims", mountPath: "/usr/local/bin/iscsiadm", subPath: "iscsiadm", readOnly: true },
        { name: "shims", mountPath: "/usr/local/bin/mount", subPath: "mount", readOnly: true },
      ]);
    });

    test("D1: has its socket outside of the directory that the kubelet watches", () => {
      expect(podOf(onlyDaemonSet(resources)).volumes).toEqual([
        {
          name: "socket-dir",
          hostPath: {
            path: "/var/lib/kubelet/plugins/iscsi.csi.joviandss.open-e.com/",
            type: "DirectoryOrCreate",
          },
        },
        {
          name: "registration-dir",
          hostPath: { path: "/var/lib/kubelet/plugins_registry/", type: "Directory" },
        },
        { name: "kubelet-dir", hostPath: { path: "/var/lib/kubelet", type: "Directory" } },
        { name: "host-root", hostPath: { path: "/", type: "Directory" } },
        { name: "shims", secret: { secretName: "joviandss-csi-shims", defaultMode: 0o555 } },
      ]);
    });

    test("D5: has a registrar without a shell and without privileges", () => {
      const registrar = containerNamed(onlyDaemonSet(resources), "csi-registrar");
      expect(registrar).not.toHaveProperty("lifecycle");
      expect(registrar.securityContext).toMatchObject({ privileged: false, capabilities: { drop: ["ALL"] } });
      expect(registrar.volumeMounts).toEqual([
        { name: "socket-dir", mountPath: "/csi" },
        { name: "registration-dir", mountPath: "/registration" },
      ]);
    });

    test("D6: runs on every node, control planes included, and updates a few nodes at a time", () => {
      expect(podOf(onlyDaemonSet(resources))).toMatchObject({
        hostNetwork: true,
        dnsPolicy: "ClusterFirstWithHostNet",
        priorityClassName: "system-node-critical",
        nodeSelector: { "kubernetes.io/os": "linux" },
        tolerations: [{ operator: "Exists" }],
        serviceAccountName: "joviandss-csi-node-service-account",
      });
      expect(podOf(onlyDaemonSet(resources))).not.toHaveProperty("affinity");
      expect(podOf(onlyDaemonSet(resources))).not.toHaveProperty("hostPID");
      expect(valueAt(onlyDaemonSet(resources), "spec", "updateStrategy")).toEqual({
        type: "RollingUpdate",
        rollingUpdate: { maxUnavailable: "10%" },
      });
    });

    test("serves and checks health on loopback only, and opens no port on the node", () => {
      const ports = { "csi-node": 29810, "csi-registrar": 29811 };
      for (const [name, port] of Object.entries(ports)) {
        expect(containerNamed(onlyDaemonSet(resources), name).livenessProbe?.httpGet).toEqual({
          path: "/healthz",
          port,
          host: "127.0.0.1",
        });
      }
      for (const entry of containersOf(onlyDaemonSet(resources))) expect(entry).not.toHaveProperty("ports");
    });

    test("makes only the plugin privileged", () => {
      const privileged = containersOf(onlyDaemonSet(resources)).filter(
        ({ securityContext }) => securityContext.privileged === true,
      );
      expect(privileged.map(({ name }) => name)).toEqual(["csi-node"]);
    });

    test("has no API access: no token, no role", () => {
      expect(
        onlyResource(resources, "kubernetes:core/v1:ServiceAccount", "joviandss-node-account").inputs
          .automountServiceAccountToken,
      ).toBe(false);
      expect(JSON.stringify(resources.filter(({ type }) => type.includes("Binding")))).not.toContain(
        "node-service-account",
      );
    });
  });
});
