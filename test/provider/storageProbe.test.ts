import { describe, expect, it } from "vitest";
import { KubernetesError } from "../../provider/kubernetes.ts";
import type { ProbeRequest } from "../../provider/storage/probe/plan.ts";
import { ProbeError, runProbe } from "../../provider/storage/probe/probe.ts";
import { formatProbeReport } from "../../provider/storage/probe/report.ts";
import { FakeProbeCluster, VirtualClock } from "./fakeProbeCluster.ts";

const request: ProbeRequest = {
  classes: [{ name: "joviandss-sc", driver: "iscsi.csi.joviandss.open-e.com" }],
  image: "registry.example.com/busybox:1",
  size: "1Gi",
  concurrency: 2,
  timeoutSeconds: 60,
  tolerations: [],
};

const controlPlane = { key: "node-role.kubernetes.io/control-plane", value: "", effect: "NoSchedule" };

/** A cluster of three workers and a control plane. The driver runs on all of them. */
function make() {
  const clock = new VirtualClock();
  const cluster = new FakeProbeCluster(clock)
    .class("joviandss-sc")
    .node("cp1", { taints: [controlPlane] })
    .node("w1")
    .node("w2")
    .node("w3");
  const stop = new AbortController();
  const told: string[] = [];
  const run = (change: Partial<ProbeRequest> = {}) =>
    runProbe(
      cluster,
      { ...request, ...change },
      { clock, signal: stop.signal, tell: (line) => void told.push(line) },
    );
  return { clock, cluster, stop, run, told };
}

describe("a storage probe", () => {
  it("writes a volume of the class on each node, reads it on another, and leaves nothing behind", async () => {
    const { cluster, run } = make();
    const report = await run();
    expect(report.result, JSON.stringify(report)).toBe("passed");
    expect(report.volumes.map(({ node, readOn }) => [node, readOn])).toEqual([
      ["w1", "w2"],
      ["w2", "w3"],
      ["w3", "w1"],
    ]);
    for (const { seconds } of report.volumes) {
      expect(Object.keys(seconds).sort()).toEqual(
        ["attach", "delete", "detach", "mount", "provision", "read", "write"].sort(),
      );
      expect(seconds.write).toBe(0.25);
      expect(seconds.provision).toBeGreaterThanOrEqual(2);
      expect(seconds.provision).toBeLessThan(4);
    }
    expect(cluster.collisions).toEqual([]);
    expect(cluster.mostClaims).toBe(2);
    expect(cluster.contents()).toEqual([]);
    expect(report.skipped).toEqual([
      { storageClass: "joviandss-sc", node: "cp1", why: expect.stringContaining("control-plane") as string },
    ]);
    const text = formatProbeReport(report);
    for (const { node } of report.volumes) expect(text).toContain(node);
  });

  it("uses the given tolerations and nodes", async () => {
    const { run } = make();
    const tolerant = await run({ tolerations: [{ key: controlPlane.key, operator: "Exists" }] });
    expect(tolerant.volumes.map(({ node }) => node)).toEqual(["cp1", "w1", "w2", "w3"]);
    expect((await run({ nodes: ["w2"] })).volumes).toEqual([
      expect.objectContaining({ node: "w2", readOn: "w3", result: "passed" }) as unknown,
    ]);
  });

  it("says that a single node's second pod runs on the same node, and waits for the volume to detach in between", async () => {
    const clock = new VirtualClock();
    const cluster = new FakeProbeCluster(clock).class("joviandss-sc").node("n1");
    const signal = new AbortController().signal;
    const report = await runProbe(cluster, request, { clock, signal, tell: () => undefined });
    expect(report.volumes).toEqual([
      expect.objectContaining({ node: "n1", readOn: "n1", result: "passed" }) as unknown,
    ]);
    expect(cluster.collisions).toEqual([]);
  });

  it("handles classes that wait for a consumer, admit one access mode, or retain volumes", async () => {
    const { cluster, run } = make();
    cluster.class("late", { waitsForConsumer: true, retain: true });
    const report = await run({ classes: [{ name: "late", accessMode: "ReadWriteOncePod" }] });
    expect(report.result, JSON.stringify(report)).toBe("passed");
    expect(cluster.claimSpecs.map(({ accessMode }) => accessMode)).toEqual(Array(3).fill("ReadWriteOncePod"));
    expect(cluster.contents()).toEqual([]);
  });

  it("writes as root only to shares, in a namespace that admits root", async () => {
    const { cluster, run } = make();
    cluster.class("share", { isShare: true });
    let level: string | undefined;
    cluster.before = (method) => {
      if (method === "createPod")
        level = [...cluster.namespaces.values()][0]?.labels["pod-security.kubernetes.io/enforce"];
    };
    await run();
    expect([level, cluster.podSpecs.some(({ asRoot }) => asRoot)]).toEqual(["restricted", false]);
    await run({ classes: [{ name: "share" }] });
    expect([level, cluster.podSpecs.at(-1)?.asRoot]).toEqual(["baseline", true]);
  });

  it("needs no attachment if the driver has none", async () => {
    const { cluster, run } = make();
    cluster.attachRequired = false;
    const report = await run();
    expect(report.result).toBe("passed");
    expect(report.volumes[0]?.seconds).not.toHaveProperty("attach");
  });

  it("continues when the API server is briefly down", async () => {
    const { clock, cluster, run } = make();
    cluster.before = () => {
      if (clock.now() % 20_000 < 5_000) throw new KubernetesError("etcd is busy", 503);
    };
    const report = await run();
    cluster.before = () => undefined;
    expect(report.result, JSON.stringify(report)).toBe("passed");
    expect(cluster.contents()).toEqual([]);
  });
});

describe("a failure is reported with its step, and everything else is probed and removed", () => {
  const failing = async (
    prepare: (cluster: FakeProbeCluster) => void,
    change: Partial<ProbeRequest> = {},
  ) => {
    const { cluster, run } = make();
    prepare(cluster);
    const report = await run(change);
    expect(report.result).toBe("failed");
    return { cluster, report, problems: report.volumes.flatMap(({ problem }) => problem ?? []) };
  };

  it("a class that never provisions: claim, events, and the other class still works", async () => {
    const { cluster, report, problems } = await failing(
      (fake) => {
        fake.class("full");
        fake.unprovisioned.add("full");
      },
      { classes: [{ name: "full" }, { name: "joviandss-sc" }] },
    );
    expect(report.volumes.filter(({ result }) => result === "passed")).toHaveLength(3);
    expect(problems).toHaveLength(3);
    expect(problems[0]).toMatch(/step "provision".*60 s.*claim talos-iscsi-probe-\w+\/volume-1.*node w1/);
    expect(problems[0]).toContain("ProvisioningFailed: the pool is full");
    expect(cluster.contents()).toEqual([]);
  });

  it("a node where nothing attaches: the attachment's error and the pod's event", async () => {
    const { cluster, report, problems } = await failing((fake) =>
      fake.unattachable.set("w2", "rpc error: no such portal"),
    );
    // The node is the first of one volume and the second of another.
    expect(report.volumes.map(({ node, result }) => [node, result])).toEqual([
      ["w1", "failed"],
      ["w2", "failed"],
      ["w3", "passed"],
    ]);
    expect(problems[1]).toMatch(/step "attach".*pod write-2, node w2/);
    expect(problems[1]).toContain("no such portal");
    expect(problems[0]).toMatch(/step "read".*pod read-1, node w2/);
    expect(cluster.contents()).toEqual([]);
  });

  it.each<[string, (fake: FakeProbeCluster) => void, RegExp]>([
    ["other data than were written", (fake) => (fake.readBack = () => "rot"), /step "write".*SHA-256 rot/],
    ["other data on the second node", (fake) => (fake.damage = () => "rot"), /step "read".*SHA-256 rot/],
    ["no data on the second node", (fake) => (fake.damage = () => ""), /step "read".*data loss.*w1/],
    [
      "a volume that stays",
      (fake) => (fake.undeletable = true),
      /step "delete".*volume pvc-.*the array is busy/,
    ],
    [
      "a right that is missing",
      (fake) =>
        (fake.before = (method) => {
          if (method === "createClaim") throw new KubernetesError("claims are forbidden", 403);
        }),
      /step "provision".*forbidden.*admin/,
    ],
  ])("%s", async (_, prepare, problem) => {
    const { report, problems } = await failing(prepare);
    expect(problems[0]).toMatch(problem);
    expect(report.volumes).toHaveLength(3);
  });

  it("a volume that cannot be deleted is listed by name as left behind", async () => {
    const { report } = await failing((fake) => (fake.undeletable = true));
    expect(report.left).toContainEqual(expect.stringMatching(/^volume pvc-/) as string);
  });

  it("a driver that registers shortly after its pod started is waited for", async () => {
    const { clock, cluster, run } = make();
    cluster.node("w4", { registered: false });
    const wait = clock.sleep.bind(clock);
    clock.sleep = (ms, signal) => {
      for (const node of cluster.nodeList) node.registered = true;
      return wait(ms, signal);
    };
    const report = await run();
    expect(report.result).toBe("passed");
    expect(report.volumes.map(({ node }) => node)).toContain("w4");
  });

  it("unregistered and unready nodes fail, and cordoned ones are skipped", async () => {
    const { report } = await failing((fake) => {
      fake.node("w4", { registered: false });
      fake.node("w5", { ready: false, reason: "kubelet stopped posting" });
      fake.node("w6", { unschedulable: true });
      fake.node("w7", { runsDriver: false, registered: false });
    });
    const failed = report.volumes.filter(({ result }) => result === "failed");
    expect(failed.map(({ node }) => node)).toEqual(["w4", "w5"]);
    expect(failed[0]?.problem).toContain("not registered");
    expect(failed[1]?.problem).toContain("kubelet stopped posting");
    expect(report.skipped.map(({ node }) => node)).toEqual(["cp1", "w6"]);
    expect(report.volumes.filter(({ result }) => result === "passed")).toHaveLength(3);
  });

  it.each([
    ["a class that is not there", { classes: [{ name: "none" }] }, /no StorageClass/],
    [
      "a class of another driver",
      { classes: [{ name: "joviandss-sc", driver: "csi.example.com" }] },
      /iscsi.csi.joviandss.open-e.com, not of csi.example.com/,
    ],
  ])("%s, without creating anything", async (_, change, problem) => {
    const { cluster, report } = await failing(() => undefined, change);
    expect(report.volumes[0]?.problem).toMatch(problem);
    expect(cluster.podSpecs).toEqual([]);
  });

  it("nodes that all keep its pods off prove nothing", async () => {
    const { report } = await failing((fake) => {
      for (const node of fake.nodeList) node.taints = [controlPlane];
    });
    expect(report.volumes[0]?.problem).toMatch(/tolerations/);
  });
});

describe("a probe that cannot start", () => {
  it.each([
    ["nodes", /look at the cluster.*admin/],
    ["createNamespace", /create the namespace.*admin/],
  ])("names the missing right: %s", async (method, message) => {
    const { cluster, run } = make();
    cluster.before = (called) => {
      if (called === method) throw new KubernetesError("forbidden", 403);
    };
    const error = await run().catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(ProbeError);
    expect((error as Error).message).toMatch(message);
  });
});

describe("a stopped probe", () => {
  it.each(["createClaim", "attachments", "createPod", "deletePod"])(
    "while it calls %s: everything is removed",
    async (method) => {
      const { cluster, stop, run } = make();
      cluster.before = (called) => {
        if (called === method) stop.abort();
      };
      await expect(run()).rejects.toMatchObject({ name: "ProbeStopped" });
      expect(cluster.contents()).toEqual([]);
    },
  );

  it("reports what the cluster is still removing if that takes long", async () => {
    const { clock, cluster, stop, run } = make();
    cluster.undeletable = true;
    cluster.before = (called) => {
      if (called === "attachments") stop.abort();
    };
    const begun = clock.now();
    await expect(run()).rejects.toThrow(/still removing.*volume pvc-/);
    expect(clock.now() - begun).toBeLessThan(90_000);
  });
});

describe("other probes", () => {
  /** What a killed probe leaves behind. */
  async function killed({ cluster }: ReturnType<typeof make>): Promise<void> {
    cluster.class("retaining", { retain: true });
    const name = "talos-iscsi-probe-00000000";
    await cluster.createNamespace(name, { "talos-iscsi/probe": name });
    const claim = { name: "volume-1", storageClass: "retaining", size: "1Gi" };
    await cluster.createClaim(name, { ...claim, accessMode: "ReadWriteOnce" });
  }

  it("that were killed are removed with their retained volume; a namespace without the probe's label stays", async () => {
    const made = make();
    await killed(made);
    await made.cluster.createNamespace("talos-iscsi-probe-mine", {});
    const report = await made.run();
    expect(report.result).toBe("passed");
    expect(report.removed).toEqual(["talos-iscsi-probe-00000000"]);
    expect(made.cluster.contents()).toEqual(["namespace talos-iscsi-probe-mine"]);
  });

  // The provisioner finishes what it began even if the claim is gone by then; a class with Retain keeps that volume.
  it("that gave up too early are removed with the volumes that came later", async () => {
    const made = make();
    await killed(made);
    await made.clock.sleep(60_000, made.stop.signal);
    await made.cluster.deleteNamespace("talos-iscsi-probe-00000000");
    await made.clock.sleep(60_000, made.stop.signal);
    expect(made.cluster.contents()).toEqual(["volume pvc-00000000-volume-1"]);
    const report = await made.run();
    expect(report.result).toBe("passed");
    expect(report.removed).toEqual(["talos-iscsi-probe-00000000"]);
    expect(made.cluster.contents()).toEqual([]);
  });

  it("at the same time leave each other alone, and both pass", async () => {
    const { cluster, run } = make();
    const [one, other] = await Promise.all([run(), run({ concurrency: 1 })]);
    expect([one.result, other.result]).toEqual(["passed", "passed"]);
    expect([...one.removed, ...other.removed]).toEqual([]);
    expect(cluster.contents()).toEqual([]);
  });

  it("that take long are recognized as running", async () => {
    const { cluster, run } = make();
    cluster.class("slow");
    cluster.unprovisioned.add("slow");
    // The second one finishes while the first still waits, and watches it for a minute.
    const long = run({ classes: [{ name: "slow" }], timeoutSeconds: 200, concurrency: 1 });
    const short = await run();
    expect(short.removed).toEqual([]);
    expect((await long).result).toBe("failed");
    expect(cluster.contents()).toEqual([]);
  });
});
