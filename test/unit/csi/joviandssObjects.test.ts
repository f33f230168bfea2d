import * as pulumi from "@pulumi/pulumi";
import { beforeAll, describe, expect, test } from "vitest";
import { JovianDssCsi } from "../../../components/csi/joviandss.ts";
import { registerDriver, minimal } from "./joviandssDeployment.ts";
import { valueAt, onlyResource, record } from "./recorder.ts";
import type { Registered } from "./recorder.ts";
import { containersOf, onlyDaemonSet, onlyDeployment } from "./workloads.ts";

describe("the driver's default objects", () => {
  let resources: Registered[];
  beforeAll(async () => {
    resources = await registerDriver();
  });

  test("are children of the component's driver, and named after it", () => {
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

  // Facts: open-e/joviandss-kubernetescsi c466239, its official objects, with their defects fixed.
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
    ["kubernetes:storage.k8s.io/v1:StorageClass", "joviandss-sc", "joviandss-sc"],
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
    [
      "kubernetes:admissionregistration.k8s.io/v1:ValidatingAdmissionPolicy",
      "joviandss-volumes",
      "joviandss-csi-volumes",
    ],
    [
      "kubernetes:admissionregistration.k8s.io/v1:ValidatingAdmissionPolicyBinding",
      "joviandss-volumes-binding",
      "joviandss-csi-volumes",
    ],
  ])("include %s %s, named %s in the cluster", (type, name, objectName) => {
    expect(valueAt(onlyResource(resources, type, name).inputs, "metadata", "name")).toBe(objectName);
  });

  test("include nothing else: no lease rights, no snapshot class", () => {
    expect(resources.filter((resource) => resource.type.startsWith("kubernetes:"))).toHaveLength(15);
  });

  test("are in the driver's namespace", () => {
    const kinds = ["Secret", "ServiceAccount", "Deployment", "DaemonSet"];
    for (const { inputs } of resources.filter((resource) => kinds.includes(String(resource.inputs.kind)))) {
      expect(valueAt(inputs, "metadata", "namespace")).toBe("joviandss-csi");
    }
  });

  test.each(["enforce", "audit", "warn"])(
    "set the namespace's pod-security label %s to privileged, with a version",
    (mode) => {
      const labels = valueAt(
        onlyResource(resources, "kubernetes:core/v1:Namespace").inputs,
        "metadata",
        "labels",
      );
      expect(valueAt(labels, `pod-security.kubernetes.io/${mode}`)).toBe("privileged");
      expect(valueAt(labels, `pod-security.kubernetes.io/${mode}-version`)).toBe("latest");
    },
  );

  test("create pods after the namespace, the secret and the rights", () => {
    const rights = [
      "joviandss-namespace",
      "joviandss-config",
      "joviandss-controller-account",
      "joviandss-cluster-role-binding",
      "joviandss-csi-driver",
    ];
    for (const type of ["kubernetes:apps/v1:Deployment", "kubernetes:apps/v1:DaemonSet"]) {
      expect(onlyResource(resources, type).after).toEqual(expect.arrayContaining(rights));
    }
  });

  test("declare the driver's capabilities in the CSIDriver", () => {
    expect(onlyResource(resources, "kubernetes:storage.k8s.io/v1:CSIDriver").inputs.spec).toEqual({
      attachRequired: true,
      podInfoOnMount: false,
      fsGroupPolicy: "File",
      volumeLifecycleModes: ["Persistent"],
    });
  });

  test("omit what the driver cannot do from the StorageClass", () => {
    expect(onlyResource(resources, "kubernetes:storage.k8s.io/v1:StorageClass").inputs).toMatchObject({
      provisioner: "iscsi.csi.joviandss.open-e.com",
      parameters: { "csi.storage.k8s.io/fstype": "ext4" },
      reclaimPolicy: "Delete",
      volumeBindingMode: "Immediate",
      allowVolumeExpansion: false,
    });
  });

  // The Kubernetes plugin only knows of parameters and provisioner, and the API server refuses to change these in place.
  test("are replaced when a field changes that the API server never updates", () => {
    expect(onlyResource(resources, "kubernetes:storage.k8s.io/v1:StorageClass")).toMatchObject({
      replaceOnChanges: ["reclaimPolicy", "volumeBindingMode"],
      deleteBeforeReplace: true,
    });
    expect(onlyResource(resources, "kubernetes:storage.k8s.io/v1:CSIDriver")).toMatchObject({
      replaceOnChanges: ["spec.attachRequired", "spec.volumeLifecycleModes"],
      deleteBeforeReplace: true,
    });
  });

  test("D3: use current sidecars, and set requests and a memory limit on every container", () => {
    const all = [...containersOf(onlyDeployment(resources)), ...containersOf(onlyDaemonSet(resources))];
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

  // A real API server tests what the policies admit and refuse (test/lab/csi.test.ts).
  test.each([
    ["joviandss-claims", "persistentvolumeclaims"],
    ["joviandss-volumes", "persistentvolumes"],
  ])("D8: enforce %s for all created and updated %s", (name, resource) => {
    const type = "kubernetes:admissionregistration.k8s.io/v1:ValidatingAdmissionPolicy";
    const { spec, metadata } = onlyResource(resources, type, name).inputs;
    expect(valueAt(spec, "matchConstraints", "resourceRules")).toEqual([
      { apiGroups: [""], apiVersions: ["v1"], operations: ["CREATE", "UPDATE"], resources: [resource] },
    ]);
    expect(valueAt(spec, "failurePolicy")).toBe("Fail");
    expect(onlyResource(resources, `${type}Binding`, `${name}-binding`).inputs.spec).toEqual({
      policyName: valueAt(metadata, "name"),
      validationActions: ["Deny"],
    });
  });
});

test("a StorageClass name has the component's name once, with an alias for its earlier name", async () => {
  const pool = (...names: string[]) => ({
    pools: [{ name: "Pool-0", storageClasses: names.map((name) => ({ name })) }],
  });
  const named = async (...names: string[]) =>
    (await registerDriver(pool(...names)))
      .filter((resource) => resource.type === "kubernetes:storage.k8s.io/v1:StorageClass")
      .map(({ name, aliases }) => [name, aliases.filter((alias) => alias !== name)]);
  expect(await named("joviandss-sc", "gold")).toEqual([
    ["joviandss-sc", ["joviandss-joviandss-sc"]],
    ["joviandss-gold", []],
  ]);
  // Two names that would collide stay different.
  expect(await named("joviandss-gold", "gold")).toEqual([
    ["joviandss-joviandss-gold", []],
    ["joviandss-gold", []],
  ]);
});

test("outputs are the names that a program may need", async () => {
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
  ).toThrow(/iscsiadm\.strategy: .*Use chroot/);
});
