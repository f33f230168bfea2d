import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { realClock } from "../../provider/clock.ts";
import { KubernetesError, type Manifest } from "../../provider/kubernetes.ts";
import type { Properties } from "../../provider/secrets.ts";
import { unwrap } from "../../provider/secrets.ts";
import { connectActor } from "../../talos/api/actor.ts";
import { TalosError } from "../../talos/api/errors.ts";
import { readImages, releaseOfImage } from "../../talos/kubernetesImages.ts";
import { targetOf } from "./fakeStorage.ts";
import {
  newRelease,
  componentReleases,
  oldRelease,
  KubernetesCluster,
  urn,
} from "./kubernetesUpgradeHarness.ts";
import { expectFailure, createHarness } from "./nodeUpgradeHarness.ts";
import { deployReleasedDriver, runPodWithVolume } from "./releasedDriver.ts";

/** What each later step leaves behind when it fails: one error, a state that records what runs, and a next `up` that repeats nothing. */

let own: KubernetesCluster;
beforeEach(async () => {
  own = await KubernetesCluster.start({ subnet: "127.49.77", controlPlanes: 1, workers: 1 });
});
afterEach(async () => own.stop());

type Actor = ReturnType<typeof connectActor>;
const timeouts = { probeMs: 10_000, guardMs: 10_000, recoveryMs: 20_000, serviceMs: 10_000, steadyMs: 20 };

/** A client in which something fails. */
function broken(change: (talos: Actor) => void): typeof connectActor {
  return (connection) => {
    const talos = connectActor(connection);
    change(talos);
    return talos;
  };
}

async function failed(
  connect: typeof connectActor | undefined,
  change: Properties = {},
): Promise<{ message: string; state: Properties; values: Properties }> {
  const { provider } = own.provider(connect, { ...timeouts, pollMs: 10, pollMaxMs: 40 });
  const olds = await own.adopted(own.provider().provider);
  const { message, properties = {} } = await expectFailure(
    provider.update("kubernetes", urn, olds, own.inputs(change)),
  );
  return { message, state: properties, values: unwrap(properties).values };
}

/** Runs `up` again with the cause fixed. */
async function goesOn(state: Properties): Promise<void> {
  const { provider } = own.provider();
  const news = own.inputs();
  expect((await provider.diff("kubernetes", urn, state, news, news)).changes).toBe(true);
  const { outs } = await provider.update("kubernetes", urn, state, news);
  expect(own.configured()).toEqual({
    cp1: componentReleases(newRelease, "controlplane"),
    w1: componentReleases(newRelease, "worker"),
  });
  expect(own.applies()).toEqual({ cp1: 5, w1: 1 });
  expect(unwrap(outs).values).toMatchObject({
    ...{ kubernetesVersion: newRelease, timeline: { to: newRelease, ended: "upgraded" } },
  });
  expect(unwrap(outs).values).not.toHaveProperty("unfinished");
  expect(own.kubernetes.get("w1").unschedulable).toBe(false);
}

/** The releases of cp1 once these components have moved. */
function moved(...components: string[]): Record<string, string> {
  return {
    ...componentReleases(oldRelease, "controlplane"),
    ...Object.fromEntries(components.map((component) => [component, newRelease])),
  };
}

describe.each([
  ["kube-controller-manager", ["kube-apiserver", "kube-controller-manager"]],
  ["kube-scheduler", ["kube-apiserver", "kube-controller-manager", "kube-scheduler"]],
] as const)("%s", (component, reached) => {
  it("that does not become ready stops the upgrade there", async () => {
    const connect = broken((talos) => {
      const ask = talos.staticPod.bind(talos);
      talos.staticPod = async (which, call) => {
        const pod = await ask(which, call);
        const isNew = which === component && releaseOfImage(pod?.image) === newRelease;
        return pod !== undefined && isNew ? { ...pod, ready: false } : pod;
      };
    });
    const { message, state, values } = await failed(connect, { timeoutSeconds: 1 });
    expect(message).toMatch(
      new RegExp(
        `^cp1 \\(127\\.49\\.77\\.11\\), ${component}: it does not run ${newRelease} after 1 s: its pod is not ready \\[kubernetes-not-running\\]\\. No control plane after it`,
      ),
    );
    expect(own.configured()).toEqual({ cp1: moved(...reached), w1: componentReleases(oldRelease, "worker") });
    expect(values).toMatchObject({
      ...{ unfinished: true, kubernetesVersion: `${oldRelease}, ${newRelease}` },
      timeline: { from: oldRelease, to: newRelease, ended: "failed", reason: message.split(" At v1")[0] },
    });
    const { steps } = values["timeline"] as { steps: { name: string }[] };
    expect(steps.at(-1)?.name).toBe(`${component} ${newRelease} on cp1`);
    expect(own.kubernetes.applied.size).toBe(0);
    await goesOn(state);
  });
});

it("a kube-proxy image that a node refuses stops the upgrade before the manifests", async () => {
  const connect = broken((talos) => {
    const apply = talos.applyConfiguration.bind(talos);
    talos.applyConfiguration = async (request, call) => {
      if (releaseOfImage(readImages(request.data)["kube-proxy"]) === newRelease)
        throw new TalosError("failed", "127.49.77.11", "ApplyConfiguration", "a validator says no");
      return apply(request, call);
    };
  });
  const { message, state } = await failed(connect);
  expect(message).toMatch(/^cp1 \(127\.49\.77\.11\), kube-proxy: .*a validator says no.*continues from here/);
  expect(own.configured()["cp1"]).toEqual(
    moved("kube-apiserver", "kube-controller-manager", "kube-scheduler"),
  );
  expect(own.kubernetes.log).toEqual([]);
  await goesOn(state);
});

describe("bootstrap manifests", () => {
  const proxy = "DaemonSet kube-system/kube-proxy";

  it.each([
    ["admission refuses", 403, 'admission webhook "policy" denied the request'],
    ["the API server finds invalid", 422, "spec.selector: field is immutable"],
    ["another writer changes all the time", 409, "the object has been modified"],
  ])("that %s stop the upgrade before the kubelets, and are named", async (_, status, text) => {
    own.kubernetes.refused.set(proxy, new KubernetesError(text, status));
    const preview = own.provider();
    const olds = await own.adopted(preview.provider);
    await preview.provider.diff("kubernetes", urn, olds, own.inputs(), own.inputs());
    expect(preview.warnings.join()).toContain(text);
    const { message, state, values } = await failed(undefined);
    expect(message).toContain(
      `bootstrap manifest ${proxy}: Kubernetes: ${text} [kubernetes-access]. No kubelet was touched. Fix this, then run \`pulumi up\` again: it continues from here. At ${newRelease} now: kube-apiserver on cp1;`,
    );
    expect(values).toMatchObject({ unfinished: true, running: { w1: { kubelet: oldRelease } } });
    own.kubernetes.refused.clear();
    await goesOn(state);
    expect(own.kubernetes.applied.has(proxy)).toBe(true);
  });

  it("are retried when the API server is briefly down, and stop the upgrade when it stays down", async () => {
    let asked = 0;
    own.kubernetes.before = (method) => {
      if (method === "applyManifest" && asked++ === 0) throw new KubernetesError("connection refused");
    };
    own.kubernetes.after = (entry) => {
      if (entry === "apply DaemonSet kube-proxy") own.kubernetes.down = "connection refused";
    };
    const { message, state } = await failed(undefined);
    expect(message).toContain("connection refused");
    expect(own.configured()["w1"]).toEqual(componentReleases(oldRelease, "worker"));
    [own.kubernetes.down, own.kubernetes.after] = [undefined, () => undefined];
    await goesOn(state);
    expect(own.kubernetes.log.filter((entry) => entry.includes("DaemonSet"))).toHaveLength(1);
  });

  it("whose pods do not come up stop the upgrade before the kubelets", async () => {
    const manifest = {
      ...{ apiVersion: "apps/v1", kind: "DaemonSet" },
      metadata: { name: "kube-proxy", namespace: "kube-system", generation: 2 },
      status: { observedGeneration: 2, desiredNumberScheduled: 2, updatedNumberScheduled: 1 },
    };
    own.kubernetes.others.set("DaemonSet", [manifest]);
    const { message, state } = await failed(undefined, { timeoutSeconds: 1 });
    expect(message).toMatch(
      /^DaemonSet kube-system\/kube-proxy: its pods do not match .* after 1 s: 1 of 2 are updated, 0 are unavailable \[kubernetes-not-running\]\. No kubelet was touched/,
    );
    const live = own.kubernetes.others.get("DaemonSet")?.[0] as unknown as Manifest;
    Object.assign(live, {
      status: { observedGeneration: 2, desiredNumberScheduled: 2, updatedNumberScheduled: 2 },
    });
    await goesOn(state);
  });

  it("of a disabled kube-proxy are left in place and named", async () => {
    const key = "kube-system_kube-proxy_apps_DaemonSet";
    own.kubernetes.others.set("ConfigMap", [
      {
        metadata: { name: "talos-bootstrap-manifests-inventory", namespace: "kube-system" },
        ...{ data: { [key]: "", "kube-system_coredns_apps_Deployment": "" } },
      },
    ]);
    const { provider, warnings } = own.provider(
      broken((talos) => {
        talos.bootstrapManifests = async () => [];
      }),
    );
    const olds = await own.adopted(provider);
    await provider.update("kubernetes", urn, olds, own.inputs());
    expect(warnings.join()).toContain("DaemonSet kube-system/kube-proxy, Deployment kube-system/coredns");
    expect(own.kubernetes.log).toEqual([]);
    expect(own.configured()["w1"]).toEqual(componentReleases(newRelease, "worker"));
  });
});

describe("a kubelet", () => {
  it("that keeps reporting its old release stops the upgrade, and is not restarted again", async () => {
    const nodes = own.kubernetes.nodes.bind(own.kubernetes);
    own.kubernetes.nodes = async () =>
      (await nodes()).map((node) => (node.name === "w1" ? { ...node, kubeletVersion: oldRelease } : node));
    const { message, state, values } = await failed(undefined, { timeoutSeconds: 1 });
    expect(message).toMatch(
      new RegExp(
        `^w1 .*, kubelet: it does not run ${newRelease} after 1 s: its kubelet reports ${oldRelease} \\[kubernetes-not-running\\]\\. No node after it`,
      ),
    );
    expect(values).toMatchObject({ unfinished: true, running: { w1: { kubelet: oldRelease } } });
    own.kubernetes.nodes = nodes;
    await goesOn(state);
  });

  it("whose node has volumes that a driver would lose stops the upgrade at the start if drains are off", async () => {
    deployReleasedDriver(own.kubernetes);
    runPodWithVolume(own, "w1", "pv-1", "db-0");
    const news = own.inputs({ drain: { enabled: false } });
    const preview = own.provider();
    const olds = await own.adopted(preview.provider);
    await preview.provider.diff("kubernetes", urn, olds, news, news);
    const problem =
      /w1 \(127\.49\.77\.21\): the kubelet would restart under volumes in use: .*pv-1.*Set upgrade\.drain\.enabled: true/;
    expect(preview.warnings.join("\n")).toMatch(problem);
    const { message } = await failed(undefined, { drain: { enabled: false } });
    expect(message).toMatch(problem);
    expect(own.applies()).toEqual({ cp1: 0, w1: 0 });

    // The volumes have left by themselves.
    own.kubernetes.storage.detach("pv-1", "w1");
    own.cluster.node("w1").boot?.iscsi.logout(targetOf("pv-1"));
    const { provider } = own.provider();
    await provider.update("kubernetes", urn, olds, news);
    expect(own.kubernetes.log.filter((entry) => entry.includes("cordon"))).toEqual([]);
  });
});

describe("before the kubelets", () => {
  it("a window that closes leaves them for the next window", async () => {
    const rollout = {
      windows: [{ days: ["mon"], from: "00:00", to: "12:00", timeZone: "UTC" }],
      outsideWindow: "stop",
    };
    const isProxyThere = (): boolean => own.kubernetes.log.includes("apply DaemonSet kube-proxy");
    const at = (closes: boolean) =>
      createHarness(own.kubernetes, { ...timeouts, pollMs: 10, pollMaxMs: 40 }, undefined, {
        ...realClock,
        calendar: () => Date.parse(closes && isProxyThere() ? "2026-11-30T13:00Z" : "2026-11-30T11:00Z"),
      });
    const olds = await own.adopted(own.provider().provider);
    const { outs } = await at(true).provider.update("kubernetes", urn, olds, own.inputs({ rollout }));
    expect(unwrap(outs).values).toMatchObject({
      postponed: expect.stringContaining("no upgrade window is open") as string,
      kubernetesVersion: newRelease,
      running: { w1: { kubelet: oldRelease } },
    });
    expect(own.configured()["cp1"]).toEqual({
      ...componentReleases(newRelease, "controlplane"),
      kubelet: oldRelease,
    });
    const next = at(false).provider;
    const news = own.inputs({ rollout });
    expect((await next.diff("kubernetes", urn, outs, news, news)).changes).toBe(true);
    await next.update("kubernetes", urn, outs, news);
    expect(own.applies()).toEqual({ cp1: 5, w1: 1 });
  });

  it("a gate that closes stops the upgrade, and the next run continues once it opens", async () => {
    const volume = (robustness: string) => [{ metadata: { name: "pvc-1" }, status: { robustness } }];
    own.kubernetes.others.set("Volume", volume("healthy"));
    own.kubernetes.after = (entry) => {
      if (entry === "apply DaemonSet kube-proxy") own.kubernetes.others.set("Volume", volume("degraded"));
    };
    const gate = {
      ...{ apiVersion: "longhorn.io/v1beta2", kind: "Volume" },
      ...{ jsonPath: "{.status.robustness}", value: "healthy", timeoutSeconds: 1 },
    };
    const { message, state } = await failed(undefined, { rollout: { gates: [gate] } });
    expect(message).toMatch(/Volume pvc-1: .*"degraded", not "healthy" \(upgrade\.gates\[0\]/);
    expect(own.configured()["w1"]).toEqual(componentReleases(oldRelease, "worker"));
    own.kubernetes.after = () => undefined;
    own.kubernetes.others.set("Volume", volume("healthy"));
    await goesOn(state);
  });
});
