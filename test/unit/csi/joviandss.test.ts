import * as pulumi from "@pulumi/pulumi";
import { beforeAll, describe, expect, test } from "vitest";
import { parse } from "yaml";
import { JovianDssCsi } from "../../../components/csi/joviandss.ts";
import type { JovianDssCsiArgs } from "../../../components/csi/joviandss.ts";
import { nsenterWrapper } from "../../../components/csi/nsenterWrapper.ts";
import { at, only, record } from "./recorder.ts";
import type { Registered } from "./recorder.ts";

const digest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
const minimal: JovianDssCsiArgs = {
  image: `docker.io/opene/joviandss-csi@${digest}`,
  endpoint: { addresses: ["192.168.0.100"], user: "admin", password: "hunter2" },
  iscsi: { addresses: ["192.168.0.101"] },
  pools: [{ name: "Pool-0" }],
};

async function deploy(args: Partial<JovianDssCsiArgs> = {}): Promise<Registered[]> {
  return (await record(() => new JovianDssCsi("joviandss", { ...minimal, ...args }))).resources;
}

const deployment = (resources: Registered[]) => only(resources, "kubernetes:apps/v1:Deployment").inputs;
const daemonSet = (resources: Registered[]) => only(resources, "kubernetes:apps/v1:DaemonSet").inputs;
const pod = (workload: unknown) => at(workload, "spec", "template", "spec") as Record<string, unknown>;
interface Container {
  name: string;
  image: string;
  args: string[];
  env?: { name: string; value?: string }[];
  securityContext: Record<string, unknown>;
  volumeMounts: {
    name: string;
    mountPath: string;
    mountPropagation?: string;
    readOnly?: boolean;
    subPath?: string;
  }[];
  livenessProbe?: { httpGet: Record<string, unknown> };
  ports?: unknown;
  resources: unknown;
}
const containers = (workload: unknown) => pod(workload).containers as Container[];
function container(workload: unknown, name: string): Container {
  const found = containers(workload).find((entry) => entry.name === name);
  if (found === undefined)
    throw new Error(
      `no container ${name} among ${containers(workload)
        .map((entry) => entry.name)
        .join(", ")}`,
    );
  return found;
}

describe("what the driver is given by default", () => {
  let resources: Registered[];
  beforeAll(async () => {
    resources = await deploy();
  });

  test("every child belongs to the component's driver and is named after it", () => {
    const [component, driver, ...children] = resources;
    expect([component?.type, component?.name]).toEqual(["talos-iscsi:index:JovianDssCsi", "joviandss"]);
    expect([driver?.type, driver?.parent]).toEqual([
      "talos-iscsi:index:IscsiCsiDriver",
      "talos-iscsi:index:JovianDssCsi::joviandss",
    ]);
    for (const child of children) {
      expect(child.parent).toBe("talos-iscsi:index:IscsiCsiDriver::joviandss");
      expect(child.name).toMatch(/^joviandss-/);
    }
  });

  // facts: open-e/joviandss-kubernetescsi c466239, its official objects, with their defects mended
  test.each([
    ["kubernetes:core/v1:Namespace", "joviandss-namespace", "joviandss-csi"],
    ["kubernetes:core/v1:Secret", "joviandss-config", "jdss-controller-cfg"],
    [
      "kubernetes:core/v1:ServiceAccount",
      "joviandss-controller-account",
      "joviandss-csi-controller-service-account",
    ],
    ["kubernetes:core/v1:ServiceAccount", "joviandss-node-account", "joviandss-csi-node-service-account"],
    [
      "kubernetes:rbac.authorization.k8s.io/v1:ClusterRole",
      "joviandss-cluster-role",
      "joviandss-csi-controller-cluster-role",
    ],
    [
      "kubernetes:rbac.authorization.k8s.io/v1:ClusterRoleBinding",
      "joviandss-cluster-role-binding",
      "joviandss-csi-controller-cluster-role-binding",
    ],
    ["kubernetes:storage.k8s.io/v1:CSIDriver", "joviandss-csi-driver", "iscsi.csi.joviandss.open-e.com"],
    ["kubernetes:apps/v1:Deployment", "joviandss-controller", "joviandss-csi-controller"],
    ["kubernetes:apps/v1:DaemonSet", "joviandss-node", "joviandss-csi-node"],
    ["kubernetes:storage.k8s.io/v1:StorageClass", "joviandss-joviandss-sc", "joviandss-sc"],
    [
      "kubernetes:admissionregistration.k8s.io/v1:ValidatingAdmissionPolicy",
      "joviandss-claims",
      "joviandss-csi-claims",
    ],
    [
      "kubernetes:admissionregistration.k8s.io/v1:ValidatingAdmissionPolicyBinding",
      "joviandss-claims-binding",
      "joviandss-csi-claims",
    ],
  ])("%s %s is %s in the cluster", (type, name, objectName) => {
    expect(at(only(resources, type, name).inputs, "metadata", "name")).toBe(objectName);
  });

  test("there is nothing else: no lease rights, no wrapper, no snapshot class", () => {
    expect(resources.filter((resource) => resource.type.startsWith("kubernetes:"))).toHaveLength(12);
  });

  test("everything with a namespace is in the driver's", () => {
    const kinds = ["Secret", "ServiceAccount", "Deployment", "DaemonSet"];
    for (const { inputs } of resources.filter((resource) => kinds.includes(String(resource.inputs.kind)))) {
      expect(at(inputs, "metadata", "namespace")).toBe("joviandss-csi");
    }
  });

  test.each(["enforce", "audit", "warn"])(
    "the namespace's pod-security label %s is privileged, with a version",
    (mode) => {
      const labels = at(only(resources, "kubernetes:core/v1:Namespace").inputs, "metadata", "labels");
      expect(at(labels, `pod-security.kubernetes.io/${mode}`)).toBe("privileged");
      expect(at(labels, `pod-security.kubernetes.io/${mode}-version`)).toBe("latest");
    },
  );

  test("pods come after the namespace, the secret and the rights", () => {
    const rights = [
      "joviandss-namespace",
      "joviandss-config",
      "joviandss-controller-account",
      "joviandss-cluster-role-binding",
      "joviandss-csi-driver",
    ];
    for (const type of ["kubernetes:apps/v1:Deployment", "kubernetes:apps/v1:DaemonSet"]) {
      expect(only(resources, type).after).toEqual(expect.arrayContaining(rights));
    }
  });

  test("the CSIDriver says what the driver can do", () => {
    expect(only(resources, "kubernetes:storage.k8s.io/v1:CSIDriver").inputs.spec).toEqual({
      attachRequired: true,
      podInfoOnMount: false,
      fsGroupPolicy: "File",
      volumeLifecycleModes: ["Persistent"],
    });
  });

  test("the StorageClass leaves out what the driver cannot do", () => {
    expect(only(resources, "kubernetes:storage.k8s.io/v1:StorageClass").inputs).toMatchObject({
      provisioner: "iscsi.csi.joviandss.open-e.com",
      parameters: { "csi.storage.k8s.io/fstype": "ext4" },
      reclaimPolicy: "Delete",
      volumeBindingMode: "Immediate",
      allowVolumeExpansion: false,
    });
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
    ])("%s is started with %j", (name, args) => {
      expect(container(deployment(resources), name).args).toEqual(args);
    });

    test("there is no other container: no resizer (no expansion), no snapshotter unless asked", () => {
      expect(containers(deployment(resources)).map(({ name }) => name)).toEqual([
        "csi-controller",
        "csi-provisioner",
        "csi-attacher",
        "liveness-probe",
      ]);
    });

    test("D4: it has nothing of the node", () => {
      expect(pod(deployment(resources))).not.toHaveProperty("hostNetwork");
      expect(pod(deployment(resources))).not.toHaveProperty("hostPID");
      expect(pod(deployment(resources)).volumes).toEqual([
        { name: "socket-dir", emptyDir: {} },
        // 0400
        { name: "config", secret: { secretName: "jdss-controller-cfg", defaultMode: 256 } },
      ]);
      for (const { securityContext } of containers(deployment(resources))) {
        expect(securityContext).toEqual({
          privileged: false,
          allowPrivilegeEscalation: false,
          readOnlyRootFilesystem: true,
          capabilities: { drop: ["ALL"] },
          seccompProfile: { type: "RuntimeDefault" },
        });
      }
    });

    test("only the plugin sees the configuration", () => {
      const mount = { name: "config", mountPath: "/config", readOnly: true };
      for (const { name, volumeMounts } of containers(deployment(resources))) {
        const expected = [
          { name: "socket-dir", mountPath: "/csi" },
          ...(name === "csi-controller" ? [mount] : []),
        ];
        expect(volumeMounts).toEqual(expected);
      }
    });

    test("a single replica never runs twice and elects no leader", () => {
      expect(at(deployment(resources), "spec", "replicas")).toBe(1);
      expect(at(deployment(resources), "spec", "strategy")).toEqual({ type: "Recreate" });
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
    ])("%s is started with %j", (name, args) => {
      expect(container(daemonSet(resources), name).args).toEqual(args);
    });

    test("the driver's iscsiadm is told to use the node's by chroot", () => {
      expect(container(daemonSet(resources), "csi-node").env).toEqual([
        { name: "KUBE_NODE_NAME", valueFrom: { fieldRef: { fieldPath: "spec.nodeName" } } },
        { name: "ISCSIADM_HOST_STRATEGY", value: "chroot" },
        { name: "ISCSIADM_HOST_PATH", value: "/usr/local/sbin/iscsiadm" },
      ]);
    });

    test("D2: the staging directory is shared with the kubelet", () => {
      expect(container(daemonSet(resources), "csi-node").volumeMounts).toEqual([
        { name: "socket-dir", mountPath: "/csi" },
        { name: "kubelet-dir", mountPath: "/var/lib/kubelet", mountPropagation: "Bidirectional" },
        { name: "host-root", mountPath: "/host", mountPropagation: "HostToContainer" },
      ]);
    });

    test("D1: the socket is outside of the directory that the kubelet walks", () => {
      expect(pod(daemonSet(resources)).volumes).toEqual([
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
      ]);
    });

    test("D5: the registrar runs no shell and has no power", () => {
      const registrar = container(daemonSet(resources), "csi-registrar");
      expect(registrar).not.toHaveProperty("lifecycle");
      expect(registrar.securityContext).toMatchObject({ privileged: false, capabilities: { drop: ["ALL"] } });
      expect(registrar.volumeMounts).toEqual([
        { name: "socket-dir", mountPath: "/csi" },
        { name: "registration-dir", mountPath: "/registration" },
      ]);
    });

    test("D6: it runs on every node, control planes included, and is updated a few nodes at a time", () => {
      expect(pod(daemonSet(resources))).toMatchObject({
        hostNetwork: true,
        dnsPolicy: "ClusterFirstWithHostNet",
        priorityClassName: "system-node-critical",
        nodeSelector: { "kubernetes.io/os": "linux" },
        tolerations: [{ operator: "Exists" }],
        serviceAccountName: "joviandss-csi-node-service-account",
      });
      expect(pod(daemonSet(resources))).not.toHaveProperty("affinity");
      expect(pod(daemonSet(resources))).not.toHaveProperty("hostPID");
      expect(at(daemonSet(resources), "spec", "updateStrategy")).toEqual({
        type: "RollingUpdate",
        rollingUpdate: { maxUnavailable: "10%" },
      });
    });

    test("health checks listen and are asked on loopback only, and no port is opened on the node", () => {
      const ports = { "csi-node": 29810, "csi-registrar": 29811 };
      for (const [name, port] of Object.entries(ports)) {
        expect(container(daemonSet(resources), name).livenessProbe?.httpGet).toEqual({
          path: "/healthz",
          port,
          host: "127.0.0.1",
        });
      }
      for (const entry of containers(daemonSet(resources))) expect(entry).not.toHaveProperty("ports");
    });

    test("only the plugin is privileged", () => {
      const privileged = containers(daemonSet(resources)).filter(
        ({ securityContext }) => securityContext.privileged === true,
      );
      expect(privileged.map(({ name }) => name)).toEqual(["csi-node"]);
    });

    test("it asks nothing of the API: no token, no role", () => {
      expect(
        only(resources, "kubernetes:core/v1:ServiceAccount", "joviandss-node-account").inputs
          .automountServiceAccountToken,
      ).toBe(false);
      expect(JSON.stringify(resources.filter(({ type }) => type.includes("Binding")))).not.toContain(
        "node-service-account",
      );
    });
  });

  test("D3: the sidecars are the current ones, and every container has requests and a memory limit", () => {
    const all = [...containers(deployment(resources)), ...containers(daemonSet(resources))];
    expect(Object.fromEntries(all.map(({ name, image }) => [name, image]))).toEqual({
      "csi-controller": minimal.image,
      "csi-node": minimal.image,
      "csi-provisioner": "registry.k8s.io/sig-storage/csi-provisioner:v6.3.0",
      "csi-attacher": "registry.k8s.io/sig-storage/csi-attacher:v4.12.0",
      "csi-registrar": "registry.k8s.io/sig-storage/csi-node-driver-registrar:v2.17.0",
      "liveness-probe": "registry.k8s.io/sig-storage/livenessprobe:v2.19.0",
    });
    for (const { resources: wanted } of all) {
      expect(wanted).toEqual({
        requests: { cpu: "10m", memory: expect.any(String) as string },
        limits: { memory: expect.any(String) as string },
      });
    }
  });

  test("D8: the cluster refuses claims that two nodes could mount, and raw block volumes", () => {
    const policy = only(
      resources,
      "kubernetes:admissionregistration.k8s.io/v1:ValidatingAdmissionPolicy",
    ).inputs;
    expect(at(policy, "spec", "matchConstraints", "resourceRules", 0, "operations")).toEqual(["CREATE"]);
    const expressions = (at(policy, "spec", "validations") as { expression: string }[]).map(
      ({ expression }) => expression,
    );
    expect(expressions).toEqual([
      "object.spec.accessModes.all(mode, mode in {'joviandss-sc': ['ReadWriteOnce', 'ReadWriteOncePod']}[object.spec.storageClassName])",
      "!has(object.spec.volumeMode) || object.spec.volumeMode == 'Filesystem'",
    ]);
    expect(
      only(resources, "kubernetes:admissionregistration.k8s.io/v1:ValidatingAdmissionPolicyBinding").inputs
        .spec,
    ).toEqual({
      policyName: "joviandss-csi-claims",
      validationActions: ["Deny"],
    });
  });
});

describe("the configuration", () => {
  const config = (resources: Registered[]) =>
    parse(
      (
        at(only(resources, "kubernetes:core/v1:Secret").inputs, "stringData", "secret") as {
          "cfg.yaml": string;
        }
      )["cfg.yaml"],
    ) as unknown;

  test("has the keys that the driver reads, where it reads them", async () => {
    expect(config(await deploy())).toEqual({
      loglevel: "info",
      pool: "Pool-0",
      endpoint: {
        addrs: ["192.168.0.100"],
        port: 82,
        prot: "https",
        user: "admin",
        pass: "hunter2",
        idletimeout: "30s",
      },
      iscsi: { iqn: "iqn.csi.2019-04", addrs: ["192.168.0.101"], port: 3260 },
    });
  });

  test.each(["yes", "0123", "1e3", "a: b", "#1", "\"'\\", "ü€ 😀", "multi\nline", " leading", "~"])(
    "carries the password %j unchanged",
    async (password) => {
      const resources = await deploy({ endpoint: { ...minimal.endpoint, password } });
      expect(at(config(resources), "endpoint", "pass")).toBe(password);
    },
  );

  test("the password is nowhere but in secrets", async () => {
    const withoutSecrets = (value: unknown): unknown =>
      typeof value !== "object" || value === null
        ? value
        : "secret" in value && Object.keys(value).length === 1
          ? "[secret]"
          : Array.isArray(value)
            ? value.map(withoutSecrets)
            : Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, withoutSecrets(inner)]));
    const resources = await deploy();
    expect(JSON.stringify(resources)).toContain("hunter2");
    expect(JSON.stringify(withoutSecrets(resources))).not.toContain("hunter2");
    const [component] = resources;
    expect(at(component?.inputs, "endpoint")).toMatchObject({
      password: { secret: "hunter2" },
      addresses: ["192.168.0.100"],
    });
  });

  test("a password that another resource makes is used and kept secret", async () => {
    const resources = await deploy({
      endpoint: { ...minimal.endpoint, password: pulumi.output(Promise.resolve("made later")) },
    });
    expect(at(config(resources), "endpoint", "pass")).toBe("made later");
    expect(at(resources[0]?.inputs, "endpoint", "password")).toEqual({ secret: "made later" });
  });

  const checksum = (workload: unknown) =>
    at(workload, "spec", "template", "metadata", "annotations", "talos-iscsi/config-checksum");

  test("a changed password changes the controller's pods and not the node's, which do not read it", async () => {
    const before = await deploy();
    const after = await deploy({ endpoint: { ...minimal.endpoint, password: "hunter3" } });
    expect(checksum(deployment(before))).toMatch(/^[0-9a-f]{16}$/);
    expect(checksum(deployment(after))).not.toBe(checksum(deployment(before)));
    expect(checksum(deployment(await deploy()))).toBe(checksum(deployment(before)));
    expect(daemonSet(after)).toEqual(daemonSet(before));
  });

  test("the checksum's key, the Secret's uid, is kept out of the state", async () => {
    const secret = only(await deploy(), "kubernetes:core/v1:Secret");
    expect(secret.additionalSecretOutputs).toContain("metadata");
  });
});

describe("choices", () => {
  test("nsenter sets hostPID and puts the wrapper in the place of iscsiadm", async () => {
    const resources = await deploy({ iscsiadm: { strategy: "nsenter" } });
    expect(pod(daemonSet(resources)).hostPID).toBe(true);
    expect(container(daemonSet(resources), "csi-node").volumeMounts).toContainEqual({
      name: "iscsiadm",
      mountPath: "/usr/local/bin/iscsiadm",
      subPath: "iscsiadm",
      readOnly: true,
    });
    expect(pod(daemonSet(resources)).volumes).toContainEqual({
      name: "iscsiadm",
      // 0555
      configMap: { name: "joviandss-csi-iscsiadm", defaultMode: 365 },
    });
    const wrapper = only(resources, "kubernetes:core/v1:ConfigMap");
    expect(wrapper.inputs).toMatchObject({
      metadata: { name: "joviandss-csi-iscsiadm", namespace: "joviandss-csi" },
      data: { iscsiadm: nsenterWrapper },
    });
    expect(only(resources, "kubernetes:apps/v1:DaemonSet").after).toContain(wrapper.name);
  });

  test("more replicas elect a leader, with the right to leases in their own namespace", async () => {
    const resources = await deploy({ controller: { replicas: 2 } });
    for (const sidecar of ["csi-provisioner", "csi-attacher"]) {
      expect(container(deployment(resources), sidecar).args).toEqual(
        expect.arrayContaining(["--leader-election", "--leader-election-namespace=joviandss-csi"]),
      );
    }
    expect(only(resources, "kubernetes:rbac.authorization.k8s.io/v1:Role").inputs).toMatchObject({
      metadata: { namespace: "joviandss-csi" },
      rules: [{ apiGroups: ["coordination.k8s.io"], resources: ["leases"] }],
    });
    expect(
      at(only(resources, "kubernetes:rbac.authorization.k8s.io/v1:RoleBinding").inputs, "subjects"),
    ).toEqual([
      {
        kind: "ServiceAccount",
        name: "joviandss-csi-controller-service-account",
        namespace: "joviandss-csi",
      },
    ]);
    expect(at(deployment(resources), "spec", "strategy")).toEqual({
      type: "RollingUpdate",
      rollingUpdate: { maxUnavailable: 1, maxSurge: 0 },
    });
  });

  test("snapshots add the snapshotter, its rights and the class", async () => {
    const resources = await deploy({ snapshots: { enabled: true, default: true } });
    expect(container(deployment(resources), "csi-snapshotter").image).toBe(
      "registry.k8s.io/sig-storage/csi-snapshotter:v8.6.0",
    );
    expect(only(resources, "kubernetes:snapshot.storage.k8s.io/v1:VolumeSnapshotClass").inputs).toEqual({
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

  test("a StorageClass for each file system, one of them the default", async () => {
    const storageClasses = [
      { name: "fast", default: true, fsType: "xfs" as const, mountOptions: ["noatime"] },
      { name: "plain", reclaimPolicy: "Retain" as const },
    ];
    const resources = await deploy({ pools: [{ name: "Pool-0", storageClasses }] });
    expect(
      only(resources, "kubernetes:storage.k8s.io/v1:StorageClass", "joviandss-fast").inputs,
    ).toMatchObject({
      metadata: { name: "fast", annotations: { "storageclass.kubernetes.io/is-default-class": "true" } },
      parameters: { "csi.storage.k8s.io/fstype": "xfs" },
      mountOptions: ["noatime"],
    });
    expect(
      only(resources, "kubernetes:storage.k8s.io/v1:StorageClass", "joviandss-plain").inputs,
    ).toMatchObject({ reclaimPolicy: "Retain" });
  });

  test("a mirror holds all images, the driver's included, and single ones can be replaced", async () => {
    const resources = await deploy({
      registry: "mirror.example.com:5000/k8s",
      images: { attacher: "example.com/attacher:v1" },
    });
    const images = [...containers(deployment(resources)), ...containers(daemonSet(resources))].map(
      ({ name, image }) => [name, image],
    );
    expect(Object.fromEntries(images)).toEqual({
      "csi-controller": `mirror.example.com:5000/k8s/opene/joviandss-csi@${digest}`,
      "csi-node": `mirror.example.com:5000/k8s/opene/joviandss-csi@${digest}`,
      "csi-provisioner": "mirror.example.com:5000/k8s/sig-storage/csi-provisioner:v6.3.0",
      "csi-attacher": "example.com/attacher:v1",
      "csi-registrar": "mirror.example.com:5000/k8s/sig-storage/csi-node-driver-registrar:v2.17.0",
      "liveness-probe": "mirror.example.com:5000/k8s/sig-storage/livenessprobe:v2.19.0",
    });
  });

  test("the controller in the node's network has its health check on loopback", async () => {
    const resources = await deploy({ controller: { hostNetwork: true } });
    expect(pod(deployment(resources))).toMatchObject({
      hostNetwork: true,
      dnsPolicy: "ClusterFirstWithHostNet",
    });
    expect(container(deployment(resources), "liveness-probe").args).toContain(
      "--http-endpoint=127.0.0.1:29812",
    );
    expect(container(deployment(resources), "csi-controller").livenessProbe?.httpGet).toEqual({
      path: "/healthz",
      port: 29812,
      host: "127.0.0.1",
    });
  });

  test("the node part can be kept off control planes", async () => {
    const resources = await deploy({ node: { controlPlanes: false } });
    expect(JSON.stringify(pod(daemonSet(resources)).affinity)).toContain(
      '"key":"node-role.kubernetes.io/control-plane","operator":"DoesNotExist"',
    );
  });

  test("transform changes one field of a child and leaves the rest", async () => {
    const plain = await deploy();
    const resources = await deploy({
      transform: {
        node: { spec: { template: { spec: { terminationGracePeriodSeconds: 5 } } } },
        namespace: (args) => ({
          ...args,
          metadata: { ...(args.metadata as object), annotations: { team: "storage" } },
        }),
      },
    });
    const changed = structuredClone(daemonSet(plain));
    Object.assign(pod(changed), { terminationGracePeriodSeconds: 5 });
    expect(daemonSet(resources)).toEqual(changed);
    expect(only(resources, "kubernetes:core/v1:Namespace").inputs.metadata).toMatchObject({
      name: "joviandss-csi",
      annotations: { team: "storage" },
    });
  });

  test("a second pool is a driver of its own, from an image with a name of its own", async () => {
    const image = `registry.example.com/joviandss-csi-pool1@${digest}`;
    const resources = await deploy({
      pools: [{ name: "Pool-0" }, { name: "Pool_1", driver: { name: "pool-1.csi.example.com", image } }],
    });
    const drivers = resources
      .filter(({ type }) => type === "kubernetes:storage.k8s.io/v1:CSIDriver")
      .map(({ inputs }) => at(inputs, "metadata", "name"));
    expect(drivers).toEqual(["iscsi.csi.joviandss.open-e.com", "pool-1.csi.example.com"]);
    const second = only(resources, "kubernetes:apps/v1:DaemonSet", "joviandss-pool-1-node").inputs;
    expect(second.metadata).toMatchObject({
      name: "joviandss-csi-pool-1-node",
      namespace: "joviandss-csi-pool-1",
    });
    expect(container(second, "csi-node").image).toBe(image);
    expect(container(second, "liveness-probe").args).toContain("--http-endpoint=127.0.0.1:29813");
    expect(
      only(resources, "kubernetes:storage.k8s.io/v1:StorageClass", "joviandss-pool-1-joviandss-sc-pool-1")
        .inputs.provisioner,
    ).toBe("pool-1.csi.example.com");
    const names = resources.map(
      ({ inputs, type }) =>
        `${type} ${String(at(inputs, "metadata", "namespace"))}/${String(at(inputs, "metadata", "name"))}`,
    );
    const objects = names.filter((name) => name.startsWith("kubernetes:"));
    expect(new Set(objects).size).toBe(objects.length);
  });
});

test("outputs name what the program may need", async () => {
  const { result } = await record(() => new JovianDssCsi("joviandss", minimal));
  const { namespace, controllerName, daemonSetName, storageClassNames } = result;
  const values = await new Promise((resolve) => {
    pulumi.all([namespace, controllerName, daemonSetName, storageClassNames]).apply(resolve);
  });
  expect(values).toEqual([
    "joviandss-csi",
    "joviandss-csi-controller",
    "joviandss-csi-node",
    ["joviandss-sc"],
  ]);
});

test("wrong arguments are one error with every path", () => {
  const wrong = {
    ...minimal,
    image: "opene/joviandss-csi:latest",
    pools: [],
    endpoint: { ...minimal.endpoint, protocol: "http" as const },
  };
  expect(() => new JovianDssCsi("joviandss", wrong)).toThrow(
    expect.objectContaining({
      errors: [
        expect.objectContaining({ propertyPath: "image" }),
        expect.objectContaining({ propertyPath: "endpoint.protocol" }),
        expect.objectContaining({ propertyPath: "pools" }),
      ],
    }),
  );
});

test("nsenter with workload isolation is refused", () => {
  expect(
    () =>
      new JovianDssCsi("joviandss", {
        ...minimal,
        iscsiadm: { strategy: "nsenter" },
        workloadIsolation: true,
      }),
  ).toThrow(/iscsiadm\.strategy: .*use chroot/);
});
