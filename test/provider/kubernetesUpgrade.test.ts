import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Properties } from "../../provider/secrets.ts";
import { unwrap } from "../../provider/secrets.ts";
import { connectActor } from "../../talos/api/actor.ts";
import { releaseOfImage, setImages } from "../../talos/kubernetesImages.ts";
import { targetOf } from "./fakeStorage.ts";
import {
  newRelease,
  componentReleases,
  oldRelease,
  KubernetesCluster,
  urn,
} from "./kubernetesUpgradeHarness.ts";
import { expectFailure } from "./nodeUpgradeHarness.ts";
import { deployReleasedDriver, runPodWithVolume } from "./releasedDriver.ts";

let own: KubernetesCluster;

const inThreeDays = (): string =>
  ["sun", "mon", "tue", "wed", "thu", "fri", "sat"][(new Date().getUTCDay() + 3) % 7] ?? "";

const plain = (state: Properties): Properties => unwrap(state).values;

async function upgrade(
  change: Properties = {},
  connect?: typeof connectActor,
  timeouts?: Record<string, number>,
  state?: Properties,
) {
  const run = own.provider(connect, timeouts);
  const olds = state ?? (await own.adopted(own.provider().provider));
  return { ...run, olds, outcome: run.provider.update("kubernetes", urn, olds, own.inputs(change)) };
}

/** Every configuration applied to a node, with the component that it moves. */
function recorded(moves: string[]): typeof connectActor {
  return (connection) => {
    const talos = connectActor(connection);
    const apply = talos.applyConfiguration.bind(talos);
    talos.applyConfiguration = async (request, call) => {
      const node = own.cluster.nodes.find(
        ({ address }) => address === connection.node || address === connection.endpoint,
      );
      const was = own.configured()[node?.name ?? ""];
      const answer = await apply(request, call);
      if (request.dryRun !== true) {
        const is = own.configured()[node?.name ?? ""] ?? {};
        for (const [component, release] of Object.entries(is))
          if (was?.[component as "kubelet"] !== release) moves.push(`${component} ${node?.name ?? ""}`);
      }
      return answer;
    };
    return talos;
  };
}

describe("with one worker", () => {
  beforeEach(async () => {
    own = await KubernetesCluster.start({ subnet: "127.49.61", controlPlanes: 1, workers: 1 });
  });
  afterEach(async () => own.stop());

  it("a stack that adopts a cluster changes nothing, and reports what runs", async () => {
    const run = own.provider();
    const { outs } = await run.provider.create(urn, own.inputs({ kubernetesVersion: oldRelease }));
    expect(plain(outs)["running"]).toEqual({
      cp1: componentReleases(oldRelease, "controlplane"),
      w1: componentReleases(oldRelease, "worker"),
    });
    expect(plain(outs)).not.toHaveProperty("adopted");
    expect(run.warnings).toEqual([]);
    expect(own.applies()).toEqual({ cp1: 0, w1: 0 });
  });

  it("a stack whose setting differs from what runs changes nothing until the setting changes", async () => {
    const run = own.provider();
    const { outs } = await run.provider.create(urn, own.inputs());
    expect(own.applies()).toEqual({ cp1: 0, w1: 0 });
    expect(run.warnings[0]).toContain(
      `the cluster runs Kubernetes ${oldRelease}, but kubernetesVersion is ${newRelease}`,
    );
    const same = await run.provider.diff("kubernetes", urn, outs, own.inputs(), own.inputs());
    expect(same.changes).toBe(false);
    const { inputs } = await run.provider.read("kubernetes", urn, outs);
    expect(plain(inputs)["kubernetesVersion"]).toBe(newRelease);
    const next = own.inputs({ kubernetesVersion: "v1.35.5" });
    expect((await run.provider.diff("kubernetes", urn, outs, next, own.inputs())).changes).toBe(true);
    await run.provider.update("kubernetes", urn, outs, next);
    expect(own.configured()).toEqual({
      cp1: componentReleases("v1.35.5", "controlplane"),
      w1: componentReleases("v1.35.5", "worker"),
    });
  });

  it("upgrades every component, and does nothing the second time", async () => {
    const moves: string[] = [];
    const { outcome } = await upgrade({}, recorded(moves));
    const { outs } = await outcome;
    expect(own.configured()).toEqual({
      cp1: componentReleases(newRelease, "controlplane"),
      w1: componentReleases(newRelease, "worker"),
    });
    expect(plain(outs)).toMatchObject({
      kubernetesVersion: newRelease,
      running: {
        cp1: componentReleases(newRelease, "controlplane"),
        w1: componentReleases(newRelease, "worker"),
      },
    });
    expect(moves).toEqual([
      "kube-apiserver cp1",
      "kube-controller-manager cp1",
      "kube-scheduler cp1",
      "kube-proxy cp1",
      "kubelet cp1",
      "kubelet w1",
    ]);
    const proxy = own.kubernetes.applied.get("DaemonSet kube-system/kube-proxy") as unknown as {
      spec: { template: { spec: { containers: { image: string }[] } } };
    };
    expect(releaseOfImage(proxy.spec.template.spec.containers[0]?.image)).toBe(newRelease);
    expect([...own.cluster.node("cp1").componentImages].sort()).toEqual([
      `ghcr.io/siderolabs/kubelet:${newRelease}`,
      `registry.k8s.io/kube-apiserver:${newRelease}`,
      `registry.k8s.io/kube-controller-manager:${newRelease}`,
      `registry.k8s.io/kube-scheduler:${newRelease}`,
    ]);

    const applies = own.applies();
    const written = own.kubernetes.log.length;
    await (
      await upgrade({}, undefined, undefined, outs)
    ).outcome;
    expect([own.applies(), own.kubernetes.log.length]).toEqual([applies, written]);
  });

  it("adds a new node to the state even while another node does not answer", async () => {
    const { provider, warnings } = own.provider();
    const { nodes, ...rest } = own.inputs({ kubernetesVersion: oldRelease });
    const { w1, ...others } = nodes as Record<string, Properties>;
    const { outs } = await provider.create(urn, { ...rest, nodes: others });
    own.cluster.node("cp1").faults.set("certificates-refused");
    expect(
      (await provider.diff("kubernetes", urn, outs, { ...rest, nodes }, { ...rest, nodes: others })).changes,
    ).toBe(true);
    const { outs: now } = await provider.update("kubernetes", urn, outs, { ...rest, nodes });
    expect(w1).toBeDefined();
    expect(plain(now)["running"]).toMatchObject({ w1: componentReleases(oldRelease, "worker") });
    expect(warnings).toEqual([]);
    own.cluster.node("cp1").faults.clear();
  });

  it("does not apply manifests if the setting only catches up with what runs", async () => {
    const { provider } = own.provider();
    const { outs } = await provider.create(urn, own.inputs({ kubernetesVersion: "v1.35.0" }));
    await provider.update("kubernetes", urn, outs, own.inputs({ kubernetesVersion: oldRelease }));
    expect([...own.kubernetes.applied.keys()]).toEqual([]);
    expect(own.applies()).toEqual({ cp1: 0, w1: 0 });
  });

  it("goes back within a minor release", async () => {
    const { outcome } = await upgrade({ kubernetesVersion: "v1.35.2" });
    await outcome;
    expect(own.configured()["cp1"]).toEqual(componentReleases("v1.35.2", "controlplane"));
  });

  it("a refresh shows a component upgraded by hand as a change of the version", async () => {
    const { provider } = own.provider();
    const state = await own.adopted(provider);
    const cp1 = own.cluster.node("cp1");
    const moved = setImages(cp1.config?.text ?? "", {
      "kube-scheduler": `registry.k8s.io/kube-scheduler:${newRelease}`,
    });
    const client = connectActor({ endpoint: cp1.address, credentials: own.cluster.credentials });
    await client.applyConfiguration({ data: moved, mode: "NO_REBOOT" });
    while (releaseOfImage((await client.staticPod("kube-scheduler"))?.image) !== newRelease);
    client.close();
    const { inputs } = await provider.read("kubernetes", urn, state);
    expect(plain(inputs)["kubernetesVersion"]).toBe(`${oldRelease}, ${newRelease}`);
  });

  it.each([
    [
      "more than one minor release",
      { kubernetesVersion: "v1.37.0" },
      /more than one minor release away .*upgrade\.through: automatic/,
    ],
    ["a minor release back", { kubernetesVersion: "v1.34.6" }, /cannot go back/],
  ])("%s is refused in preview and deployment", async (_, change, why) => {
    const { provider } = own.provider();
    const state = await own.adopted(provider);
    const news = own.inputs(change);
    const told = await expectFailure(provider.diff("kubernetes", urn, state, news, own.inputs()));
    expect(told.message).toMatch(why);
    const { message, properties } = await expectFailure(provider.update("kubernetes", urn, state, news));
    expect(message).toMatch(why);
    expect(plain(properties ?? {})["kubernetesVersion"]).toBe(oldRelease);
    expect(own.applies()).toEqual({ cp1: 0, w1: 0 });
    expect(own.cluster.node("cp1").componentImages.size).toBe(0);
  });

  it("is refused while something uses an API that the release removes, unless accepted", async () => {
    own.kubernetes.deprecated = [
      {
        group: "flowcontrol.apiserver.k8s.io",
        version: "v1beta3",
        resource: "flowschemas",
        removedRelease: "1.36",
      },
      { group: "later.k8s.io", version: "v1beta1", resource: "things", removedRelease: "1.38" },
    ];
    const { provider } = own.provider();
    const state = await own.adopted(provider);
    for (const told of [
      await expectFailure(provider.diff("kubernetes", urn, state, own.inputs(), own.inputs())),
      await expectFailure(provider.update("kubernetes", urn, state, own.inputs())),
    ]) {
      expect(told.message).toContain("flowschemas of flowcontrol.apiserver.k8s.io/v1beta3 (gone in v1.36)");
      expect(told.message).not.toContain("later.k8s.io");
    }
    await provider.update("kubernetes", urn, state, own.inputs({ acceptRemovedApis: true }));
    expect(own.configured()["w1"]).toEqual(componentReleases(newRelease, "worker"));
  });

  it("is refused while the stack declares an object of an API that the release removes, unless accepted", async () => {
    const { provider } = own.provider();
    const state = await own.adopted(provider);
    const removedObjects = ["VolumeAttributesClass of storage.k8s.io/v1beta1 (gone in v1.36)"];
    // It causes no diff by itself.
    const kept = own.inputs({ kubernetesVersion: oldRelease, removedObjects });
    const old = own.inputs({ kubernetesVersion: oldRelease });
    expect((await provider.diff("kubernetes", urn, state, kept, old)).changes).toBe(false);
    const news = own.inputs({ removedObjects });
    for (const told of [
      await expectFailure(provider.diff("kubernetes", urn, state, news, own.inputs())),
      await expectFailure(provider.update("kubernetes", urn, state, news)),
    ])
      expect(told.message).toContain(removedObjects[0]);
    expect(own.applies()).toEqual({ cp1: 0, w1: 0 });
    await provider.update("kubernetes", urn, state, { ...news, acceptRemovedApis: true });
    expect(own.configured()["w1"]).toEqual(componentReleases(newRelease, "worker"));
  });

  it("leaves a component at the release that a patch pins, and refuses if the patch pins kube-apiserver", async () => {
    const nodes = own.inputs()["nodes"] as Record<string, Properties>;
    const pin = (name: string, component: string) => ({
      nodes: { ...nodes, [name]: { ...nodes[name], pinned: [component] } },
    });
    const { outcome } = await upgrade(pin("cp1", "kube-apiserver"));
    expect((await expectFailure(outcome)).message).toContain("a patch pins kube-apiserver");
    await (
      await upgrade(pin("w1", "kubelet"))
    ).outcome;
    expect(own.configured()).toEqual({
      cp1: componentReleases(newRelease, "controlplane"),
      w1: componentReleases(oldRelease, "worker"),
    });
  });

  it("changes nothing if an image cannot be pulled", async () => {
    own.cluster.node("w1").faults.set("pull-not-found");
    const { outcome } = await upgrade();
    expect((await expectFailure(outcome)).message).toContain(`kubelet:${newRelease} on w1`);
    expect(own.applies()).toEqual({ cp1: 0, w1: 0 });
  });

  it("stops at an API server that does not come back, and resumes there", async () => {
    own.cluster.node("cp1").faults.set("api-server-down");
    const { outcome, olds } = await upgrade({}, undefined, { recoveryMs: 500 });
    const { message, properties } = await expectFailure(outcome);
    expect(message).toMatch(/^cp1 \(127\.\S+\), kube-apiserver: not recovered/);
    // The message must list exactly what already runs the new release.
    expect(message).toMatch(/No component runs v1\.36\.1 yet\.$|At v1\.36\.1 now: kube-apiserver on cp1\./);
    const configured = { ...componentReleases(oldRelease, "controlplane"), "kube-apiserver": newRelease };
    expect(own.configured()).toEqual({ cp1: configured, w1: componentReleases(oldRelease, "worker") });
    expect(plain(properties ?? {})).toMatchObject({ kubernetesVersion: oldRelease });

    own.cluster.node("cp1").faults.clear();
    await own.cluster.ready();
    await (
      await upgrade({}, undefined, undefined, { ...olds, ...properties })
    ).outcome;
    expect(own.configured()).toEqual({
      cp1: componentReleases(newRelease, "controlplane"),
      w1: componentReleases(newRelease, "worker"),
    });
    expect(own.applies()).toEqual({ cp1: 5, w1: 1 });
  });

  it("stops at a kubelet that does not come back, and reports what runs", async () => {
    own.cluster.node("w1").faults.set("kubelet-does-not-return");
    const { outcome } = await upgrade({ timeoutSeconds: 2 }, undefined, { recoveryMs: 500 });
    const { message, properties } = await expectFailure(outcome);
    expect(message).toMatch(/^w1 \(127\.\S+\), kubelet: /);
    expect(message).toMatch(
      /At v1\.36\.1 now: kube-apiserver on cp1; .*kubelet on cp1\. Not yet: kubelet on w1\.$/,
    );
    expect(plain(properties ?? {})).toMatchObject({
      kubernetesVersion: `${oldRelease}, ${newRelease}`,
      running: { cp1: componentReleases(newRelease, "controlplane"), w1: { kubelet: oldRelease } },
    });
  });

  it("is postponed until an upgrade window opens, and reports it", async () => {
    const rollout = {
      windows: [{ days: [inThreeDays()], from: "02:00", to: "02:01", timeZone: "UTC" }],
      outsideWindow: "stop",
    };
    const { outcome } = await upgrade({ rollout });
    const { outs } = await outcome;
    expect(plain(outs)).toMatchObject({ running: { w1: { kubelet: oldRelease } } });
    expect(plain(outs)["postponed"]).toContain("no upgrade window is open");
    expect(own.applies()).toEqual({ cp1: 0, w1: 0 });
    const { provider } = own.provider();
    expect((await provider.diff("kubernetes", urn, outs, own.inputs(), own.inputs())).changes).toBe(true);
    const failing = await upgrade({ rollout: { ...rollout, outsideWindow: "fail" } });
    expect((await expectFailure(failing.outcome)).message).toContain("no upgrade window is open");
  });

  it("drains a node whose driver would lose its volumes, and stops if a budget blocks a pod", async () => {
    deployReleasedDriver(own.kubernetes);
    runPodWithVolume(own, "w1", "pv-1", "db-0");
    own.kubernetes.blocked.set("db-0", "the budget db needs 1 healthy pod");
    const drain = { enabled: true, timeoutSeconds: 1 };
    const { outcome, olds } = await upgrade({ drain });
    const { message, properties } = await expectFailure(outcome);
    expect(message).toMatch(/^w1 \(127\.\S+\), step "drain": .*the budget db needs 1 healthy pod/);
    expect(message).toMatch(/w1 was uncordoned\. At v1\.36\.1 now: .*Not yet: kubelet on w1\.$/);
    expect(own.kubernetes.get("w1").unschedulable).toBe(false);
    expect(own.configured()["w1"]).toEqual(componentReleases(oldRelease, "worker"));

    own.kubernetes.blocked.clear();
    own.kubernetes.after = (entry) => {
      if (entry !== "evict db-0") return;
      own.kubernetes.storage.detach("pv-1", "w1");
      own.cluster.node("w1").boot?.iscsi.logout(targetOf("pv-1"));
    };
    await (
      await upgrade({ drain: { enabled: true, timeoutSeconds: 10 } }, undefined, undefined, {
        ...olds,
        ...properties,
      })
    ).outcome;
    expect(own.configured()["w1"]).toEqual(componentReleases(newRelease, "worker"));
    expect(own.kubernetes.log.filter((entry) => !entry.startsWith("apply"))).toEqual([
      "cordon w1",
      "uncordon w1",
      "cordon w1",
      "evict db-0",
      "uncordon w1",
    ]);
  });
});
