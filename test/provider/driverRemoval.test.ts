import { beforeEach, expect, it } from "vitest";
import { unwrap, type Properties } from "../../provider/secrets.ts";
import { unknownValue } from "../../talos/secrecy/engineValues.ts";
import { FakeKubernetes } from "./fakeKubernetes.ts";
import { createHarness } from "./nodeUpgradeHarness.ts";

// A driver that leaves the settings, or would look for its volumes elsewhere, while the cluster has volumes of it.

const urn = "urn:pulumi:dev::talos-iscsi::talos-node:index:ClusterMembership::members";
const jovian = "iscsi.csi.joviandss.open-e.com";
const synology = "csi.san.synology.com";

const deployed = {
  [jovian]: { section: "joviandss", pool: "Pool-0", targetPrefix: "iqn.csi.2019-04" },
  [synology]: { section: "synology", arrays: ["192.168.0.20", "192.168.0.21"] },
};

let kubernetes: FakeKubernetes;
beforeEach(() => {
  kubernetes = new FakeKubernetes();
});

function inputs(more: Properties = {}): Properties {
  return {
    nodes: { cp1: { node: "127.44.99.11", role: "controlplane" } },
    clientConfiguration: { caCertificate: "a", clientCertificate: "b", clientKey: "c" },
    kubeconfig: "of a test",
    ...{ onRemove: "keep", drain: {}, timeoutSeconds: 8 },
    ...more,
  };
}

function volume(name: string, driver: string, attributes: string[] = []): void {
  const claim = `shop/claim-of-${name}`;
  kubernetes.storage.persistent.push({ name, claim, driver, handle: `vp_${name}`, attributes });
}

function csiDriver(name: string, manager: string): void {
  const managedFields = [{ manager: "kube-apiserver" }, { manager }];
  const others = kubernetes.others.get("CSIDriver") ?? [];
  kubernetes.others.set("CSIDriver", [...others, { metadata: { name, managedFields } as { name: string } }]);
}

interface Checked {
  inputs: Properties;
  /** In a deployment. */
  failure: string | undefined;
  warnings: string[];
}

async function deploy(before: Properties, after: Properties): Promise<Checked> {
  const { provider, warnings } = createHarness(kubernetes);
  const checked = await provider.check(urn, before, after);
  const { values } = unwrap(checked.inputs as Properties);
  return { inputs: values, failure: checked.failures?.[0]?.reason, warnings };
}

async function preview(before: Properties, after: Properties): Promise<Checked & { changes: unknown }> {
  const { provider, warnings } = createHarness(kubernetes);
  const checked = await provider.check(urn, before, { ...after, preview: true });
  expect(checked.failures).toEqual([]);
  const kept = checked.inputs as Properties;
  const { changes } = await provider.diff("membership", urn, before, kept, before);
  const { values } = unwrap(kept);
  return { inputs: values, failure: values["refused"] as string | undefined, warnings, changes };
}

/** The preview and an `up` that skips it refuse with the same words. */
async function refused(before: Properties, after: Properties): Promise<string> {
  const [shown, done] = [await preview(before, after), await deploy(before, after)];
  // The engine passes a new refusal on to the preflight only if the resource changes.
  expect(shown.changes).toBe(true);
  expect(shown.failure).toBe(done.failure);
  return shown.failure ?? "";
}

const all = inputs({ drivers: deployed });
const withoutJovian = inputs({ drivers: { [synology]: deployed[synology] } });

it("a driver with volumes cannot leave the settings", async () => {
  for (const name of ["pvc-1", "pvc-2", "pvc-3", "pvc-4", "pvc-5", "pvc-6"]) volume(name, jovian);
  volume("pvc-s", synology, ["192.168.0.20"]);
  kubernetes.storage.attach("w1", "pvc-2");
  kubernetes.storage.attach("w2", "pvc-gone");
  kubernetes.storage.persistent = kubernetes.storage.persistent.filter(({ name }) => name !== "pvc-gone");
  kubernetes.others.set("VolumeSnapshotContent", [
    { metadata: { name: "snap-1" }, spec: { driver: jovian } } as { metadata: { name: string } },
    { metadata: { name: "snap-2" }, spec: { driver: synology } } as { metadata: { name: string } },
  ]);
  expect(await refused(all, withoutJovian)).toBe(
    `driver ${jovian} (joviandss, pool Pool-0) is no longer in the settings, and the cluster has 8 volumes and snapshots of it: ` +
      "pvc-1 (claim shop/claim-of-pvc-1); pvc-2 (claim shop/claim-of-pvc-2, attached to w1); pvc-3 (claim shop/claim-of-pvc-3); " +
      "pvc-4 (claim shop/claim-of-pvc-4); pvc-5 (claim shop/claim-of-pvc-5); and 3 more [driver-in-use]. " +
      "Without it, nothing unmounts or deletes them: pods hang, and nodes cannot be drained. Put it back, then delete the claims or move their data, " +
      "and remove the driver when `kubectl get pv` no longer lists its volumes. If the volumes are given up, set " +
      `cluster.acceptDriverChanges: [${jovian}].`,
  );
});

it.each([
  ["no driver is left", inputs()],
  [
    "another pool of the array is left",
    inputs({ drivers: { "pool-1.example.com": { section: "joviandss" } } }),
  ],
])("a driver with one attachment, snapshot or volume cannot leave if %s", async (_, after) => {
  kubernetes.storage.attach("w2", "pvc-gone");
  kubernetes.storage.persistent = [];
  expect(await refused(all, after)).toMatch(
    /has 1 volume of it: pvc-gone \(no PersistentVolume, attached to w2\) \[/,
  );
  kubernetes = new FakeKubernetes();
  kubernetes.others.set("VolumeSnapshotContent", [
    { metadata: { name: "snap-1" }, spec: { driver: jovian } } as { metadata: { name: string } },
  ]);
  expect(await refused(all, after)).toMatch(/has 1 snapshot of it: snapshot snap-1 \[/);
  kubernetes = new FakeKubernetes();
  kubernetes.storage.persistent = [
    { name: "pv-1", claim: undefined, driver: jovian, handle: "", attributes: [] },
  ];
  expect(await refused(all, after)).toMatch(/has 1 volume of it: pv-1 \(no claim\) \[/);
});

it("a driver without volumes leaves quietly, and an unchanged list asks nobody", async () => {
  volume("pvc-s", synology);
  for (const { failure, warnings, inputs: kept } of [
    await preview(all, withoutJovian),
    await deploy(all, withoutJovian),
  ]) {
    expect([failure, warnings]).toEqual([undefined, []]);
    expect(kept).not.toHaveProperty("preview");
  }
  expect((await preview(all, withoutJovian)).changes).toBe(false);
  kubernetes.calls.clear();
  for (const [before, after] of [
    [all, all],
    // A state of an older release, and a first deployment.
    [inputs(), all],
    // The pool and the arrays are secrets now: they can't be compared.
    [all, inputs({ drivers: { [jovian]: { section: "joviandss" }, [synology]: { section: "synology" } } })],
    [{}, all],
    [inputs(), inputs()],
  ] as const) {
    const { failure, changes } = await preview(before, after);
    expect(failure).toBeUndefined();
    if ("nodes" in before) expect(changes).toBe(false);
  }
  expect(kubernetes.calls.size).toBe(0);
});

it("a pool under the name of a driver with volumes cannot be replaced", async () => {
  volume("pvc-1", jovian);
  const moved = { ...deployed, [jovian]: { ...deployed[jovian], pool: "Pool-1" } };
  const reason = await refused(all, inputs({ drivers: moved }));
  expect(reason).toMatch(
    /^joviandss: driver iscsi\.csi\.joviandss\.open-e\.com moves from pool Pool-0 to Pool-1, and the cluster has 1 volume of it: pvc-1 \(claim shop\/claim-of-pvc-1\) \[driver-in-use\]\. /,
  );
  expect(reason).toContain("deleting their claims would leave the data behind");
  kubernetes.storage.persistent = [];
  expect((await deploy(all, inputs({ drivers: moved }))).failure).toBeUndefined();
});

it("a target prefix cannot change while volumes are attached", async () => {
  volume("pvc-1", jovian);
  const changed = {
    ...deployed,
    [jovian]: { ...deployed[jovian], targetPrefix: "iqn.2026-01.com.example" },
  };
  expect((await deploy(all, inputs({ drivers: changed }))).failure).toBeUndefined();
  kubernetes.storage.attach("w1", "pvc-1");
  expect(await refused(all, inputs({ drivers: changed }))).toMatch(
    /^joviandss: iscsi\.targetPrefix changes from iqn\.csi\.2019-04 to iqn\.2026-01\.com\.example, and the cluster has 1 attached volume of it: pvc-1 \(/,
  );
});

it("an array with volumes cannot leave the settings", async () => {
  volume("pvc-1", synology, ["192.168.0.20", "iscsi"]);
  const arrays = (...hosts: string[]): Properties =>
    inputs({ drivers: { ...deployed, [synology]: { section: "synology", arrays: hosts } } });
  expect((await deploy(all, arrays("192.168.0.20", "192.168.0.30"))).failure).toBeUndefined();
  expect(await refused(all, arrays("192.168.0.21"))).toMatch(
    /^synology: 192\.168\.0\.20 is no longer in arrays, and the cluster has 1 volume of it: pvc-1 \(claim/,
  );
});

it("the volumes of a named driver may be given up, whether or not Kubernetes answers", async () => {
  volume("pvc-1", jovian);
  const accepted = { ...withoutJovian, acceptDriverChanges: [jovian] };
  kubernetes.down = "connect ECONNREFUSED";
  const { failure, inputs: kept } = await deploy(all, accepted);
  expect(failure).toBeUndefined();
  expect(kept).toEqual(withoutJovian);
  expect(kubernetes.calls.size).toBe(0);
  kubernetes.down = undefined;
  const other = { ...withoutJovian, acceptDriverChanges: [synology] };
  expect(await refused(all, other)).toContain("[driver-in-use]");
});

it("if Kubernetes does not answer, a preview warns and a deployment refuses", async () => {
  kubernetes.down = "connect ECONNREFUSED 10.0.0.10:6443";
  const shown = await preview(all, withoutJovian);
  expect(shown.failure).toBeUndefined();
  const text =
    `driver ${jovian} (joviandss, pool Pool-0) is no longer in the settings, and whether the cluster still has volumes of it is unknown: ` +
    "connect ECONNREFUSED 10.0.0.10:6443 [volumes-unknown]. ";
  expect(shown.warnings).toEqual([`${text}\`pulumi up\` refuses this until the Kubernetes API answers.`]);
  const done = await deploy(all, withoutJovian);
  expect(done.failure).toBe(
    `${text}Run \`pulumi up\` again when the Kubernetes API answers. If the volumes are given up, set cluster.acceptDriverChanges: [${jovian}].`,
  );
});

it("a kubeconfig that is not known yet is replaced by the last one", async () => {
  volume("pvc-1", jovian);
  const renewed = { ...withoutJovian, kubeconfig: unknownValue };
  expect((await preview(all, renewed)).failure).toContain("[driver-in-use]");
  const { kubeconfig: _, ...never } = all;
  expect((await preview(never, renewed)).failure).toBeUndefined();
});

it("a driver that an earlier deployment did not get to remove is still checked", async () => {
  csiDriver(jovian, "pulumi-kubernetes-1a2b3c");
  const after = (await deploy(all, withoutJovian)).inputs;
  // The rollout failed, and someone made a volume.
  volume("pvc-1", jovian);
  expect(await refused(after, withoutJovian)).toContain("[driver-in-use]");
  // It is put back.
  const back = await deploy(after, all);
  expect(back.failure).toBeUndefined();
  expect(back.inputs).toEqual(all);
  // Or it could be removed: from then on, nobody is asked.
  kubernetes.others.set("CSIDriver", []);
  const done = await preview(after, withoutJovian);
  expect([done.failure, done.changes, done.inputs]).toEqual([undefined, false, withoutJovian]);
  kubernetes.down = "connect ECONNREFUSED";
  const unanswered = await deploy(after, withoutJovian);
  expect([unanswered.failure, unanswered.warnings, unanswered.inputs]).toEqual([undefined, [], after]);
});

it("volumes of a driver that someone else deploys block nothing", async () => {
  volume("pvc-1", jovian);
  csiDriver(jovian, "helm");
  // The first deployment failed, since the object exists.
  const { failure, inputs: kept } = await deploy(all, withoutJovian);
  expect([failure, kept]).toEqual([undefined, withoutJovian]);
});

it("the state keeps the list as an input only", async () => {
  const { provider } = createHarness(kubernetes);
  const { outs } = await provider.create(urn, all);
  expect(outs).not.toHaveProperty("drivers");
});
