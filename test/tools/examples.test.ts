import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parseSettings } from "../../config.ts";
import { nodePatch } from "../../talos/nodePatch.ts";
import { resolveTools } from "../../tools/resolve.ts";
import { exampleNamed, settingsIn } from "../exampleStacks.ts";
import { atNight } from "../lab/nightly.ts";
import { PreviewProject, type Planned, type Preview, type PreviewTools } from "./examplePreview.ts";

/** Previews every example with the real engine. No lab is needed, and a running one is not touched. */

const password = "CANARYc4n4ryCANARY";

let tools: PreviewTools;
let project: PreviewProject;

beforeAll(async () => {
  tools = await resolveTools(["pulumi", "talosctl", "pulumi-resource-kubernetes"], {
    onProgress: console.error,
  });
  project = new PreviewProject(tools);
});

afterAll(() => project?.remove());

type Counts = Record<string, number>;

/** The resources of a new cluster with this many nodes. */
const newCluster = (nodes: number): Counts => ({
  "talos-iscsi:index:FactoryImage": 1,
  "talos:imageFactory/schematic:Schematic": 1,
  "talos-node:index:ConfirmedSchematic": 1,
  "talos-iscsi:index:TalosCluster": 1,
  "talos:machine/secrets:Secrets": 1,
  "talos-node:index:NodeConfiguration": nodes,
  "talos:machine/bootstrap:Bootstrap": 1,
  "talos:cluster/kubeconfig:Kubeconfig": 1,
  "talos-iscsi:index:RollingUpgrade": 1,
  "talos-node:index:ClusterMembership": 1,
  "talos-node:index:RolloutPreflight": 1,
  "talos-node:index:RolloutReadiness": 1,
  "talos-node:index:NodeUpgrade": nodes,
  "talos-node:index:KubernetesUpgrade": 1,
});

/** The resources of every driver, whatever the storage. */
const driver = (storageClasses: number): Counts => ({
  "talos-iscsi:index:IscsiCsiDriver": 1,
  "kubernetes:core/v1:Namespace": 1,
  "kubernetes:core/v1:Secret": 1,
  "kubernetes:core/v1:ServiceAccount": 2,
  "kubernetes:rbac.authorization.k8s.io/v1:ClusterRole": 1,
  "kubernetes:rbac.authorization.k8s.io/v1:ClusterRoleBinding": 1,
  "kubernetes:storage.k8s.io/v1:CSIDriver": 1,
  "kubernetes:storage.k8s.io/v1:StorageClass": storageClasses,
  "kubernetes:apps/v1:Deployment": 1,
  "kubernetes:apps/v1:DaemonSet": 1,
  // One for claims, one for volumes.
  "kubernetes:admissionregistration.k8s.io/v1:ValidatingAdmissionPolicy": 2,
  "kubernetes:admissionregistration.k8s.io/v1:ValidatingAdmissionPolicyBinding": 2,
});

/** Added if there is more than one controller. */
const leaderElection: Counts = {
  "kubernetes:rbac.authorization.k8s.io/v1:Role": 1,
  "kubernetes:rbac.authorization.k8s.io/v1:RoleBinding": 1,
};

const snapshotClass: Counts = { "kubernetes:snapshot.storage.k8s.io/v1:VolumeSnapshotClass": 1 };

/** Needed for snapshots, once per cluster. */
const snapshotController: Counts = {
  "talos-iscsi:index:SnapshotController": 1,
  "kubernetes:apiextensions.k8s.io/v1:CustomResourceDefinition": 3,
  "kubernetes:core/v1:ServiceAccount": 1,
  "kubernetes:rbac.authorization.k8s.io/v1:ClusterRole": 1,
  "kubernetes:rbac.authorization.k8s.io/v1:ClusterRoleBinding": 1,
  "kubernetes:apps/v1:Deployment": 1,
};

const joviandss: Counts = {
  "talos-iscsi:index:JovianDssCsi": 1,
  // The wrappers around the image's iscsiadm and mount.
  "kubernetes:core/v1:Secret": 1,
};
const synology: Counts = { "talos-iscsi:index:SynologyCsi": 1 };

/** The resources of an additional image. */
const image: Counts = {
  "talos-iscsi:index:FactoryImage": 1,
  "talos:imageFactory/schematic:Schematic": 1,
  "talos-node:index:ConfirmedSchematic": 1,
};

/** For a driver that is installed separately. */
const privilegedNamespace: Counts = {
  "talos-iscsi:index:PrivilegedNamespace": 1,
  "kubernetes:core/v1:Namespace": 1,
};

const expected = {
  joviandss: [newCluster(6), joviandss, driver(2), leaderElection],
  synology: [newCluster(5), synology, driver(2)],
  both: [
    newCluster(7),
    ...[snapshotController, leaderElection],
    ...[joviandss, driver(1), leaderElection],
    ...[synology, driver(1), leaderElection, snapshotClass],
  ],
  endpoints: [newCluster(6), joviandss, driver(1)],
  large: [newCluster(500), joviandss, driver(1)],
  "single-node": [newCluster(1), synology, driver(1)],
  mixed: [newCluster(9), image, image, synology, driver(1)],
  longhorn: [newCluster(6), privilegedNamespace],
  truenas: [newCluster(5), privilegedNamespace],
  trident: [newCluster(6), privilegedNamespace],
} satisfies Record<string, Counts[]>;

function sum(parts: Counts[]): Counts {
  const total: Counts = {};
  for (const [type, count] of parts.flatMap((part) => Object.entries(part)))
    total[type] = (total[type] ?? 0) + count;
  return total;
}

/** These only differ from `longhorn` in names, or take half a minute. */
const variants = ["large", "truenas", "trident"];
const names = (Object.keys(expected) as (keyof typeof expected)[]).filter(
  (name) => atNight || !variants.includes(name),
);

describe.each(names)("examples/%s", (name) => {
  const example = exampleNamed(name);
  let preview: Preview;

  beforeAll(async () => {
    preview = await project.preview(example, password);
  });

  test("creates exactly the expected resources", () => {
    const own = preview.resources.filter(({ type }) => !type.startsWith("pulumi:"));
    expect(sum(own.map(({ type }) => ({ [type]: 1 })))).toEqual(sum(expected[name]));
    expect(new Set(own.map(({ operation }) => operation))).toEqual(new Set(["create"]));
  });

  test("shows no password in the output or in the stack file", () => {
    if (example.secrets.length > 0) expect(preview.text).toMatch(/password *: \[secret\]/);
    for (const seen of [preview.text, preview.events, preview.stackFile]) {
      expect(seen).not.toContain(password);
      expect(seen).not.toContain(Buffer.from(password).toString("base64").slice(0, -4));
    }
    expect(preview.stackFile.match(/ secure: v1:/g) ?? []).toHaveLength(example.secrets.length);
  });

  test("keeps the comments of the copied file", () => {
    const comments = (text: string) => text.split("\n").filter((line) => /^\s*#/.test(line)).length;
    expect(comments(preview.stackFile)).toBe(comments(example.text));
  });

  test("gives no warnings except about plugin versions", () => {
    const others = preview.complaints.filter(
      (message) =>
        !/^(using pulumi-resource-[\w-]+ from \$PATH|resource plugin kubernetes is expected to have version)/.test(
          message.trim(),
        ),
    );
    expect(others).toEqual([]);
  });

  const ownDriver = ["joviandss", "synology"].some((driver) => settingsIn(example)[driver] !== undefined);

  test.runIf(ownDriver)("has exactly one default StorageClass", () => {
    const classes = preview.resources.filter(({ type }) => type.endsWith(":StorageClass"));
    const byDefault = classes.filter(
      ({ inputs }) =>
        at(inputs, "metadata", "annotations", "storageclass.kubernetes.io/is-default-class") === "true",
    );
    expect(byDefault).toHaveLength(1);
  });

  test("drains nodes before an upgrade, unless there is only one", () => {
    const { nodes } = parseSettings(settingsIn(example)).cluster;
    const rollout = preview.resources.filter(({ type }) =>
      /^talos-node:index:(RolloutPreflight|NodeUpgrade)$/.test(type),
    );
    expect(rollout).toHaveLength(nodes.length + 1);
    for (const { inputs } of rollout) expect(at(inputs, "drain", "enabled")).toBe(nodes.length > 1);
  });

  // A new cluster's machine configurations need secrets that a preview does not have, so the preview cannot check the patches.
  test("has patches that produce valid machine configurations with talosctl", async () => {
    const { name: cluster, endpoint, patches } = parseSettings(settingsIn(example)).cluster;
    const dir = mkdtempSync(join(tmpdir(), "talos-iscsi-example-"));
    try {
      const flags = [
        ...patches.all.flatMap((patch) => ["--config-patch", patch]),
        ...patches.controlplane.flatMap((patch) => ["--config-patch-control-plane", patch]),
        ...patches.worker.flatMap((patch) => ["--config-patch-worker", patch]),
      ];
      await run(tools.talosctl, ["gen", "config", cluster, endpoint, "--output", dir, ...flags]);
      for (const role of ["controlplane", "worker"]) {
        const file = join(dir, `${role}.yaml`);
        const { stdout, stderr } = await run(tools.talosctl, [
          "validate",
          "--mode",
          "metal",
          "--config",
          file,
        ]);
        expect(stdout + stderr).toBe(`${file} is valid for metal mode\n`);
      }
    } finally {
      rmSync(dir, { recursive: true, force: true });
    }
  });

  if (name === "both") {
    test("gives the two drivers separate names, namespaces and health ports", () => {
      const objects = preview.resources.filter(({ type }) => type.startsWith("kubernetes:"));
      const names = objects.map(({ type, inputs }) => {
        const metadata = inputs["metadata"] as { name: string; namespace?: string };
        return `${type} ${metadata.namespace ?? ""}/${metadata.name}`;
      });
      expect(duplicates(names)).toEqual([]);
      expect(duplicates(preview.resources.map(({ urn }) => urn))).toEqual([]);
      const namespaceOf = (which: string) =>
        new Set(
          objects
            .filter(({ urn }) => urn.includes(which))
            .flatMap(({ inputs }) => at(inputs, "metadata", "namespace") ?? []),
        );
      expect(namespaceOf("JovianDssCsi")).toEqual(new Set(["joviandss-csi"]));
      expect(namespaceOf("SynologyCsi")).toEqual(new Set(["synology-csi"]));
      const ports = objects.flatMap(healthPortsOf);
      expect(ports).toHaveLength(6);
      expect(duplicates(ports)).toEqual([]);
    });
  }

  if (name === "mixed") {
    test("upgrades every node to its own image, and does not run the driver on nodes without iSCSI", () => {
      const upgrades = preview.resources.filter(({ type }) => type === "talos-node:index:NodeUpgrade");
      const schematics = Object.groupBy(upgrades, ({ inputs }) => String(inputs["schematicId"]));
      const names = Object.values(schematics).map((all = []) =>
        all.map(({ inputs }) => inputs["name"]).sort(),
      );
      expect(names.sort()).toEqual([
        ["cp1", "cp2", "cp3", "w1", "w2"],
        ["gpu1", "gpu2"],
        ["pi1", "pi2"],
      ]);
      const daemonSet = preview.resources.find(({ type }) => type === "kubernetes:apps/v1:DaemonSet");
      expect(JSON.stringify(at(daemonSet?.inputs, "spec", "template", "spec", "affinity"))).toContain(
        '{"key":"talos-iscsi/iscsi","operator":"NotIn","values":["false"]}',
      );
    });

    test("has pools whose labels, taints and patches produce valid configurations with talosctl", async () => {
      const { name: cluster, endpoint, nodes } = parseSettings(settingsIn(example)).cluster;
      const dir = mkdtempSync(join(tmpdir(), "talos-iscsi-example-"));
      try {
        for (const { role, labels, taints, patches } of nodes.filter(({ pool }) => pool !== undefined)) {
          const own = nodePatch({ role, labels, taints, contract: "v1.13" }) ?? "";
          const flags = [own, ...patches].flatMap((patch) => ["--config-patch-worker", patch]);
          await run(tools.talosctl, [
            "gen",
            "config",
            cluster,
            endpoint,
            "--output",
            dir,
            "--force",
            ...flags,
          ]);
          const file = join(dir, "worker.yaml");
          const { stdout } = await run(tools.talosctl, ["validate", "--mode", "metal", "--config", file]);
          expect(stdout).toBe(`${file} is valid for metal mode\n`);
          expect(readFileSync(file, "utf8")).toContain(`key: ${Object.keys(taints)[0]}`);
        }
      } finally {
        rmSync(dir, { recursive: true, force: true });
      }
    });
  }

  if (name === "single-node") {
    test("has a single control plane, which runs the driver's controller", () => {
      const upgrades = preview.resources.filter(({ type }) => type === "talos-node:index:NodeUpgrade");
      expect(upgrades.map(({ inputs }) => inputs)).toEqual([
        expect.objectContaining({ role: "controlplane", controlPlanes: ["192.168.1.50"] }),
      ]);
      expect(parseSettings(settingsIn(example)).cluster.patches.controlplane.join()).toContain(
        "allowSchedulingOnControlPlanes: true",
      );
    });
  }
});

const run = promisify(execFile);

/** A nested value in a resource's inputs. */
function at(value: unknown, ...keys: string[]): unknown {
  return keys.reduce<unknown>(
    (inner, key) =>
      typeof inner === "object" && inner !== null ? (inner as Record<string, unknown>)[key] : undefined,
    value,
  );
}

function duplicates(values: string[]): string[] {
  return values.filter((value, index) => values.indexOf(value) !== index);
}

/** The ports of a workload's health endpoints, on any address. */
function healthPortsOf({ inputs }: Planned): string[] {
  const containers = (at(inputs, "spec", "template", "spec", "containers") ?? []) as { args?: string[] }[];
  return containers.flatMap(({ args = [] }) =>
    args.flatMap((arg) => /^--http-endpoint=.*:(\d+)$/.exec(arg)?.[1] ?? []),
  );
}
