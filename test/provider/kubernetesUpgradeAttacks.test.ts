import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { unwrap, type Properties } from "../../provider/secrets.ts";
import { connectActor } from "../../talos/api/actor.ts";
import {
  readImages,
  releaseOfImage,
  setImages,
  type KubernetesImages,
} from "../../talos/kubernetesImages.ts";
import {
  newRelease,
  componentReleases,
  oldRelease,
  KubernetesCluster,
  urn,
} from "./kubernetesUpgradeHarness.ts";
import { expectFailure } from "./nodeUpgradeHarness.ts";

let own: KubernetesCluster;

/** Changes a node's configuration outside of Pulumi, and waits for its static pods to follow. */
async function byHand(name: string, change: (config: string) => string): Promise<void> {
  const node = own.cluster.node(name);
  const client = connectActor({ endpoint: node.address, credentials: own.cluster.credentials });
  const images = readImages(change(node.config?.text ?? ""));
  await client.applyConfiguration({ data: change(node.config?.text ?? ""), mode: "NO_REBOOT" });
  for (const component of ["kube-apiserver", "kube-controller-manager", "kube-scheduler"] as const)
    if (images[component] !== undefined)
      while ((await client.staticPod(component))?.image !== images[component]);
  client.close();
}

const images = (change: KubernetesImages) => (config: string) => setImages(config, change);

/** Runs something once, right after the first change of a node's configuration. */
function afterFirstChange(work: () => void | Promise<void>): typeof connectActor {
  let due = true;
  return (connection) => {
    const talos = connectActor(connection);
    const apply = talos.applyConfiguration.bind(talos);
    talos.applyConfiguration = async (request, call) => {
      const answer = await apply(request, call);
      if (request.dryRun !== true && due) {
        due = false;
        await work();
      }
      return answer;
    };
    return talos;
  };
}

describe("one control plane and one worker", () => {
  beforeEach(async () => {
    own = await KubernetesCluster.start({ subnet: "127.49.65", controlPlanes: 1, workers: 1 });
  });
  afterEach(async () => own.stop());

  it.each([
    [
      "a control plane",
      { controlPlane: true as const, kubeletVersion: oldRelease },
      /cp9 is a control plane/,
    ],
    ["a kubelet too old for it", { kubeletVersion: "v1.32.9" }, /4 minor releases behind/],
  ])("a node in Kubernetes that is not in the settings stops the upgrade: %s", async (_, node, why) => {
    own.kubernetes.add("cp9", "10.9.9.9", node);
    const { provider, warnings } = own.provider();
    const state = await own.adopted(provider);
    // The same deployment may remove the node, so the preview only warns.
    await provider.diff("kubernetes", urn, state, own.inputs(), own.inputs());
    expect(warnings.join()).toMatch(why);
    expect((await expectFailure(provider.update("kubernetes", urn, state, own.inputs()))).message).toMatch(
      why,
    );
    expect(own.applies()).toEqual({ cp1: 0, w1: 0 });
    own.kubernetes.cluster.delete("cp9");
    own.kubernetes.add("w9", "10.9.9.9", { kubeletVersion: "v1.34.1" });
    await provider.update("kubernetes", urn, state, own.inputs());
    expect(own.configured()["cp1"]).toEqual(componentReleases(newRelease, "controlplane"));
  });

  it.each([
    ["cp1", "kube-scheduler", "v1.34.2", /kube-scheduler v1.34.2 is 2 minor releases behind/],
    ["cp1", "kube-controller-manager", "v1.37.0", /newer than kube-apiserver/],
    ["w1", "kubelet", "v1.32.5", /kubelet v1.32.5 is 4 minor releases behind/],
  ] as const)(
    "a patch that pins %s's %s to %s stops the upgrade, since the releases do not work together",
    async (name, component, release, why) => {
      await byHand(name, images({ [component]: `mirror/${component}:${release}` }));
      if (component === "kubelet") own.kubernetes.get(name).kubeletVersion = release;
      const nodes = own.inputs()["nodes"] as Record<string, Properties>;
      const pinned = { nodes: { ...nodes, [name]: { ...nodes[name], pinned: [component] } } };
      const { provider } = own.provider();
      const state = await own.adopted(provider, pinned);
      const news = own.inputs(pinned);
      const had = own.applies();
      for (const told of [
        await expectFailure(provider.diff("kubernetes", urn, state, news, own.inputs(pinned))),
        await expectFailure(provider.update("kubernetes", urn, state, news)),
      ])
        expect(told.message).toMatch(why);
      expect(own.applies()).toEqual(had);
    },
  );

  it("an image digest without a tag is fine for a kubelet, which reports its release, but not for a scheduler", async () => {
    const digest = `@sha256:${"a".repeat(64)}`;
    await byHand("w1", images({ kubelet: `mirror:5000/kubelet${digest}` }));
    await byHand("cp1", images({ "kube-scheduler": `mirror:5000/kube-scheduler${digest}` }));
    own.kubernetes.get("w1").kubeletVersion = oldRelease;
    const { provider } = own.provider();
    const state = await own.adopted(provider);
    const told = await expectFailure(provider.update("kubernetes", urn, state, own.inputs()));
    expect(told.message).toContain("does not show which release of kube-scheduler runs");
    expect(own.applies()).toEqual({ cp1: 1, w1: 1 });

    await byHand("cp1", images({ "kube-scheduler": `mirror:5000/kube-scheduler:${oldRelease}${digest}` }));
    await provider.update("kubernetes", urn, state, own.inputs());
    const [cp1, w1] = ["cp1", "w1"].map((name) => readImages(own.cluster.node(name).config?.text ?? ""));
    expect(w1?.kubelet).toBe(`mirror:5000/kubelet:${newRelease}`);
    expect(cp1?.["kube-scheduler"]).toBe(`mirror:5000/kube-scheduler:${newRelease}`);
  });

  it("a disabled kube-proxy does not count as a component", async () => {
    await byHand("cp1", (config) =>
      images({ "kube-proxy": "registry.k8s.io/kube-proxy:v1.33.1" })(config).replace(
        /proxy:\n/,
        "proxy:\n    disabled: true\n",
      ),
    );
    const { provider } = own.provider();
    const state = await own.adopted(provider);
    expect(unwrap(state).values).not.toHaveProperty("adopted");
    await provider.update("kubernetes", urn, state, own.inputs());
    expect(own.configured()).toEqual({
      cp1: componentReleases(newRelease, "controlplane"),
      w1: componentReleases(newRelease, "worker"),
    });
    expect([...own.kubernetes.applied.keys()]).not.toContain("DaemonSet kube-system/kube-proxy");
  });

  it("upgrades to and from a pre-release", async () => {
    const { provider } = own.provider();
    const state = await own.adopted(provider);
    const { outs } = await provider.update(
      "kubernetes",
      urn,
      state,
      own.inputs({ kubernetesVersion: "v1.36.0-rc.1" }),
    );
    expect(own.configured()["w1"]).toEqual(componentReleases("v1.36.0-rc.1", "worker"));
    await provider.update("kubernetes", urn, outs, own.inputs());
    expect(own.configured()["cp1"]).toEqual(componentReleases(newRelease, "controlplane"));
  });

  it("a resource removed from the state during an upgrade: a refresh shows it, and the next run finishes", async () => {
    const { provider } = own.provider();
    const state = await own.adopted(provider);
    own.cluster.node("w1").faults.set("configuration-refused");
    await expectFailure(provider.update("kubernetes", urn, state, own.inputs()));
    own.cluster.node("w1").faults.clear();

    const { outs } = await provider.create(urn, own.inputs());
    const had = own.applies();
    const { inputs, props } = await provider.read("kubernetes", urn, outs);
    expect(unwrap(inputs).values["kubernetesVersion"]).toBe(`${oldRelease}, ${newRelease}`);
    expect(own.applies()).toEqual(had);
    await byHand("w1", (config) => `${config}\n`);
    await provider.update("kubernetes", urn, props, own.inputs());
    expect(own.kubernetes.get("w1").kubeletVersion).toBe(newRelease);
  });

  it("a node that joins in the middle of an upgrade is upgraded too", async () => {
    const { nodes, ...rest } = own.inputs();
    const { w1: _joins, ...others } = nodes as Record<string, Properties>;
    const { provider } = own.provider();
    const { outs } = await provider.create(urn, { ...rest, nodes: others, kubernetesVersion: oldRelease });
    own.cluster.node("cp1").faults.set("api-server-down");
    const short = own.provider(undefined, { recoveryMs: 500 });
    own.kubernetes.cluster.delete("w1");
    const failed = await expectFailure(
      short.provider.update("kubernetes", urn, outs, { ...rest, nodes: others }),
    );
    own.cluster.node("cp1").faults.clear();
    await own.cluster.ready();
    own.kubernetes.add("w1", own.cluster.node("w1").address, { kubeletVersion: oldRelease });
    await provider.update("kubernetes", urn, { ...outs, ...failed.properties }, own.inputs());
    expect(own.configured()).toEqual({
      cp1: componentReleases(newRelease, "controlplane"),
      w1: componentReleases(newRelease, "worker"),
    });
  });

  it("two stacks at once wait for each other, and nothing is done twice", async () => {
    const { provider } = own.provider();
    const state = await own.adopted(provider);
    const two = [own.provider().provider, own.provider().provider];
    await Promise.all(two.map((one) => one.update("kubernetes", urn, state, own.inputs())));
    expect(own.configured()).toEqual({
      cp1: componentReleases(newRelease, "controlplane"),
      w1: componentReleases(newRelease, "worker"),
    });
    expect(own.applies()["cp1"]).toBe(5);
    expect(own.kubernetes.lease?.holder).toBeUndefined();
  });
});

describe("three control planes", () => {
  beforeEach(async () => {
    own = await KubernetesCluster.start({ subnet: "127.49.68", controlPlanes: 3 });
  });
  afterEach(async () => own.stop());

  it("a control plane that goes down between two API servers stops the upgrade", async () => {
    const state = await own.adopted(own.provider().provider);
    const fault = own.cluster.node("cp3").faults;
    const { provider } = own.provider(
      afterFirstChange(() => void fault.set("etcd-member-unhealthy")),
      { recoveryMs: 500, guardMs: 500 },
    );
    const told = await expectFailure(provider.update("kubernetes", urn, state, own.inputs()));
    expect(told.message).toContain(own.cluster.node("cp3").address);
    expect(own.applies()).toEqual({ cp1: 1, cp2: 0, cp3: 0 });
  });

  it("an API server that another run upgraded to a newer minor release is not downgraded", async () => {
    const state = await own.adopted(own.provider().provider);
    const { provider } = own.provider(
      afterFirstChange(() =>
        byHand("cp2", images({ "kube-apiserver": "registry.k8s.io/kube-apiserver:v1.37.0" })),
      ),
    );
    const told = await expectFailure(provider.update("kubernetes", urn, state, own.inputs()));
    expect(told.message).toContain("[kubernetes-downgrade]");
    expect(own.configured()["cp2"]?.["kube-apiserver"]).toBe("v1.37.0");
    expect(releaseOfImage(readImages(own.cluster.node("cp3").config?.text ?? "")["kube-apiserver"])).toBe(
      oldRelease,
    );
  });
});
