import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import type { Properties } from "../../provider/secrets.ts";
import { expectFailure, createHarness, inputsFor } from "./nodeUpgradeHarness.ts";
import { SimulatedCluster, waitingMachine } from "./simulatedCluster.ts";
import { unknownValue } from "../../talos/secrecy/engineValues.ts";
import type { SimulatedNode } from "../../lab/node/node.ts";

const urn = "urn:pulumi:dev::talos-iscsi::talos-node:index:RolloutReadiness::readiness";
const preflightUrn = urn.replace("RolloutReadiness", "RolloutPreflight");
const names = ["cp1", "cp2", "cp3", "w1"];

let cluster: SimulatedCluster;
beforeAll(async () => {
  cluster = await SimulatedCluster.start({
    subnet: "127.48.9",
    version: "v1.13.7",
    controlPlanes: 3,
    workers: 1,
  });
});
afterAll(async () => cluster?.stop());
afterEach(async () => {
  for (const node of cluster.nodes) node.faults.clear();
  await cluster.ready();
});

function inputs(own: Properties = {}, shared: Properties = {}): Properties {
  const nodes = Object.fromEntries(
    names.map((name) => {
      const { node, role, talosVersion, image, extensions, services, files } = inputsFor(cluster, name, own);
      return [name, { node, role, talosVersion, image, extensions, services, files }];
    }),
  );
  const { schematicId, controlPlanes, clientConfiguration, drain, timeoutSeconds } = inputsFor(
    cluster,
    "cp1",
  );
  return { nodes, schematicId, controlPlanes, clientConfiguration, drain, timeoutSeconds, ...shared };
}

/** With a longer timeout, because a new node that does not answer in time is skipped. */
const own = () => createHarness(undefined, { probeMs: 3_000 });

describe("the check before the first configuration is applied", () => {
  it("refuses what the preflight would refuse, and reports that nothing was changed", async () => {
    cluster.node("cp2").faults.set("etcd-alarm-nospace");
    const before = cluster.touched();
    for (const last of [undefined, inputs({ talosVersion: "v1.13.7" })]) {
      const { provider } = own();
      const work =
        last === undefined
          ? provider.create(urn, inputs())
          : provider.update("readiness", urn, last, inputs());
      const { message } = await expectFailure(work);
      expect(message).toMatch(/^the rollout .*: 3 of 4 nodes .*\[rollout-refused\]/);
      expect(message).toContain("Nothing was changed on any node");
      // One alarm is reported once, with all nodes that it stops.
      expect(message.match(/NOSPACE/g)).toHaveLength(1);
      expect(message).toMatch(
        /^ {2}cp1 \(\S+\), cp2 \(\S+\), cp3 \(\S+\), step "guard": etcd alarm NOSPACE/m,
      );
    }
    expect(cluster.touched()).toEqual(before);
  });

  it("reports a node that cannot be read together with the other nodes' problems, without waiting", async () => {
    cluster.node("w1").faults.set("permission-denied");
    cluster.node("cp2").faults.set("etcd-member-not-started");
    cluster.node("cp3").faults.set("not-ready");
    while (cluster.node("cp3").snapshot().ready) await new Promise((resolve) => setTimeout(resolve, 10));
    const asked = performance.now();
    const { provider } = createHarness(undefined, { probeMs: 3_000, guardMs: 100_000, recoveryMs: 100_000 });
    const { message } = await expectFailure(
      provider.update("readiness", urn, inputs({ talosVersion: "v1.13.7" }), inputs()),
    );
    expect(performance.now() - asked).toBeLessThan(60_000);
    expect(message).toMatch(/^ {2}w1 \(\S+\), step "inspect": .*os:admin/m);
    expect(message).toMatch(/^ {2}cp3 \(\S+\), step "guard": the node is running, not ready/m);
    // Each problem once, with the nodes that it stops, since one command may fix it for all.
    expect(message).toMatch(/^ {2}cp1 \(\S+\), cp2 \(\S+\), cp3 \(\S+\), step "guard": .*has never started/m);
    expect(message.match(/has never started/g)).toHaveLength(1);
  });

  it("runs again only if a node is to run something else", async () => {
    const { provider } = own();
    const { outs } = await provider.create(urn, inputs());
    const due = async (news: Properties): Promise<boolean | undefined> =>
      (await provider.diff("readiness", urn, outs, news)).changes;
    expect(await due(inputs())).toBe(false);
    expect(await due(inputs({}, { timeoutSeconds: 9, allowSkew: true }))).toBe(false);
    expect(await due(inputs({ talosVersion: "v1.13.6" }))).toBe(true);
    expect(await due(inputs({}, { schematicId: "0".repeat(64) }))).toBe(true);
    // Removed nodes are shown, but nothing is checked for them.
    const fewer = inputs();
    delete (fewer["nodes"] as Properties)["w1"];
    expect(await provider.diff("readiness", urn, outs, fewer)).toMatchObject({
      details: { "members.w1": "delete" },
    });
    expect((await provider.diff("readiness", urn, fewer, inputs())).changes).toBe(false);
  });

  it("refuses a release that cannot read the cluster's configuration, unless the node already runs it", async () => {
    const before = {
      ...inputs({ talosVersion: "v1.13.7" }),
      nodes: { ...(inputs({ talosVersion: "v1.13.7" })["nodes"] as Properties) },
    };
    const asked = async (version: string, contract: string, last: Properties = before): Promise<string[]> => {
      const { failures } = await own().provider.check(
        urn,
        last,
        inputs({ talosVersion: version }, { contract }),
      );
      return (failures ?? []).map(({ reason }) => reason);
    };
    expect(await asked("v1.12.7", "v1.13")).toEqual([
      expect.stringMatching(
        /contract v1\.13, which an older Talos release cannot read: cp1 \(127\.48\.9\.11\) v1\.12\.7, .*w1 .*would not come back/,
      ),
    ]);
    expect(await asked("v1.12.7", "v1.12")).toEqual([]);
    expect(await asked("v1.13.7", "v1.14")).toEqual([]);
    expect(await asked("v1.12.7", unknownValue)).toEqual([]);
    // A stack of a release without this resource.
    expect(await asked("v1.12.7", "v1.13", {})).toEqual([]);
    const checked = await own().provider.check(urn, before, inputs({}, { contract: "v1.13" }));
    expect(checked.inputs).not.toHaveProperty("contract");
  });

  it("tells a new control plane, which can only be added in its own deployment, from one of another cluster", async () => {
    const machine = waitingMachine(cluster, "cp4", "127.48.9.14");
    await machine.start();
    try {
      const given = inputs();
      const all = given["nodes"] as Record<string, Properties>;
      const nodes = { ...all, cp4: { ...all["cp1"], node: machine.address } } as Properties;
      const controlPlanes = [...(given["controlPlanes"] as string[]), machine.address];
      const { message } = await expectFailure(
        own().provider.update("readiness", urn, inputs({ talosVersion: "v1.13.7" }), {
          ...given,
          nodes,
          controlPlanes,
        }),
      );
      expect(message).toMatch(
        /control plane 127\.48\.9\.14 is in maintenance mode.*\[control-plane-down\]\. Add a new one in a `pulumi up` of its own/,
      );
      expect(message).not.toContain("another cluster");
    } finally {
      await machine.stop();
    }
  });

  it("leaves a new node that does not answer yet to the preflight", async () => {
    const w1 = cluster.node("w1");
    w1.faults.set("node-down");
    while (w1.snapshot().powered) await new Promise((resolve) => setTimeout(resolve, 10));
    const fewer = inputs({ talosVersion: "v1.13.7" });
    delete (fewer["nodes"] as Properties)["w1"];
    await own().provider.create(urn, inputs());
    await own().provider.update("readiness", urn, fewer, inputs());
    const { message } = await expectFailure(
      own().provider.update("readiness", urn, inputs({ talosVersion: "v1.13.7" }), inputs()),
    );
    expect(message).toMatch(/w1 .*step "inspect"/);
  });
});

describe("machines without the hardware that their configurations name", () => {
  const subnet = "127.48.9";
  const machines: SimulatedNode[] = [];
  const plain = { path: "machine.install.disk", disk: "/dev/sda" };
  const tooLarge = { path: "machine.install.diskSelector", diskSelector: { size: ">= 200GB" } };
  const noLink = { path: "machine.network.interfaces[0]", link: "eno9" };
  const has = (disk: string) => `the node has ${disk}.`;

  beforeAll(async () => {
    for (const [name, address] of [
      ["new1", `${subnet}.81`],
      ["new2", `${subnet}.82`],
    ] as const) {
      const machine = waitingMachine(cluster, name, address);
      await machine.start();
      machines.push(machine);
    }
  });
  afterAll(async () => {
    for (const machine of machines) await machine.stop();
  });

  /** The four running nodes, and two machines that wait for their first configuration. */
  function withNew(hardware: object, shared: Properties = {}): Properties {
    const given = inputs();
    const all = given["nodes"] as Record<string, Properties>;
    const added = machines.map(({ name, address }) => [name, { ...all["w1"], node: address }]);
    const nodes = { ...all, ...(Object.fromEntries(added) as Properties) };
    return { ...given, nodes, onRemove: "keep", hardware, ...shared };
  }
  const looked = async (olds: Properties, news: Properties) => {
    const { provider, warnings } = own();
    const result = await provider.check(urn, olds, news);
    const reasons = (result.failures ?? []).map(({ reason }) => reason);
    return { warnings, reasons, checked: result.inputs as Properties };
  };

  it("are all refused at once if they are new; a running node only causes a warning", async () => {
    const named = { new1: [tooLarge], new2: [plain, noLink], w1: [tooLarge], cp1: [plain] };
    const { reasons, warnings } = await looked({}, withNew({ named }));
    expect(reasons).toHaveLength(1);
    expect(reasons[0]).toContain(
      `new1 (${subnet}.81):\n  ${tooLarge.path}: no disk matches \`size: >= 200GB\``,
    );
    expect(reasons[0]).toContain(has("sda 107 GB"));
    expect(reasons[0]).toMatch(/new2 \(\S+\):\n {2}machine\.network\.interfaces\[0\]: there is no link eno9/);
    expect(reasons[0]).not.toMatch(/^w1 /m);
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toMatch(/^w1 .*size: >= 200GB/s);
  });

  it("are detected in the first preview of a new cluster, which has no credentials yet", async () => {
    const unknown = { clientConfiguration: unknownValue };
    const { reasons, warnings } = await looked(
      {},
      withNew({ named: { new2: [noLink], w1: [noLink] } }, unknown),
    );
    expect(reasons).toHaveLength(1);
    expect(reasons[0]).toContain("there is no link eno9; the node has eth0 (52:54:00:");
    // A running node cannot be read without credentials.
    expect(warnings).toEqual([]);
  });

  it("may name the system disk, which a new machine does not have before it is installed", async () => {
    const volume = (match: string) => ({ path: "UserVolumeConfig data", diskMatch: match });
    const named = { new1: [volume("system_disk")], new2: [volume("system_disk && disk.size > 1u * TB")] };
    const { reasons } = await looked({}, withNew({ named }));
    expect(reasons).toHaveLength(1);
    expect(reasons[0]).not.toContain("new1");
    expect(reasons[0]).toContain("no disk matches `system_disk && disk.size > 1u * TB`");
  });

  it("may lack the disk to install to if a disk image was written to them: Talos is not installed again", async () => {
    const unattended = { path: "UnattendedInstallConfig", diskMatch: "disk.size > 1u * TB" };
    const named = { new1: [tooLarge, unattended, noLink], new2: [tooLarge] };
    const flashed = machines.find(({ name }) => name === "new1")?.disk;
    try {
      if (flashed !== undefined) flashed.active = "A";
      const { reasons } = await looked({}, withNew({ named }));
      expect(reasons[0]).toMatch(/^new1 \(\S+\):\n.*there is no link.*\nnew2 \(\S+\):\n.*no disk matches/m);
    } finally {
      delete flashed?.active;
    }
  });

  it.each([
    ["warn", 0, 2],
    ["refuse", 1, 0],
  ] as const)("are handled as the settings say: %s", async (check, refusals, warned) => {
    const { reasons, warnings } = await looked(
      {},
      withNew({ check, named: { new1: [tooLarge], w1: [noLink] } }),
    );
    expect(reasons).toHaveLength(refusals);
    expect(warnings).toHaveLength(warned);
  });

  it("are checked again only if the configuration names other hardware", async () => {
    const named = { w1: [tooLarge] };
    const first = await looked({}, withNew({ named }));
    expect(first.warnings).toHaveLength(1);
    const kept = first.checked;
    expect((await looked(kept, withNew({ named }))).warnings).toEqual([]);
    expect((await looked(kept, withNew({ named: { w1: [noLink] } }))).warnings).toHaveLength(1);
    expect((await looked(kept, withNew({ named, check: "refuse" }))).reasons).toHaveLength(1);
    // A state from before this input: its nodes are running.
    const { hardware: _hardware, ...former } = kept;
    const later = withNew({ named });
    expect((await looked(former, later)).warnings).toEqual([]);
    expect((await own().provider.diff("readiness", urn, former, later, former)).changes).toBe(false);
  });
});

describe("the preflight", () => {
  it("reports what the deployment has changed, and nothing else", async () => {
    cluster.node("w1").faults.set("not-ready");
    while (cluster.node("w1").snapshot().ready) await new Promise((resolve) => setTimeout(resolve, 10));
    const { message } = await expectFailure(own().provider.create(preflightUrn, inputs()));
    expect(message).toContain("has applied no machine configuration and has upgraded or rebooted no node");
    expect(message).not.toMatch(/touched/);
  });

  it("tells a node that rejects the certificate from one that is down", async () => {
    cluster.node("w1").faults.set("certificates-refused");
    await new Promise((resolve) => setTimeout(resolve, 400));
    const preview = own();
    const listed = inputs({ talosVersion: "v1.13.7" });
    await preview.provider.check(preflightUrn, listed, inputs());
    const told = preview.warnings.filter((text) => /right now: w1 /.test(text));
    expect(told).toEqual([expect.stringMatching(/does not accept the client certificate.*The node is up/)]);
  });

  it("warns in a preview of current problems, and in a deployment only of problems that remain", async () => {
    cluster.node("cp3").faults.set("etcd-alarm-corrupt");
    const preview = own();
    const obstacles = (warnings: string[]): string[] =>
      warnings.filter(
        (text) => text.startsWith("the rollout would be refused right now: ") && text.includes("CORRUPT"),
      );
    await preview.provider.check(preflightUrn, {}, inputs());
    expect(obstacles(preview.warnings)).toHaveLength(1);
    expect(preview.warnings.join().match(/CORRUPT/g)).toHaveLength(1);

    const deployment = own();
    await expectFailure(deployment.provider.create(urn, inputs()));
    await deployment.provider.check(preflightUrn, {}, inputs());
    expect(obstacles(deployment.warnings)).toEqual([]);
  });
});
