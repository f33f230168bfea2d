import { describe, expect, it } from "vitest";
import { SealedClients } from "../../provider/gate/sealedClients.ts";
import { defaultTimeouts } from "../../provider/timeouts.ts";
import { TalosNodeProvider } from "../../provider/plugin.ts";
import { unknownValue } from "../../talos/secrecy/engineValues.ts";
import { unwrap, wrap, type Properties } from "../../provider/secrets.ts";
import { FakeProbeCluster, VirtualClock } from "./fakeProbeCluster.ts";
import { expectFailure } from "./nodeUpgradeHarness.ts";

const urn = "urn:pulumi:dev::talos-iscsi::talos-node:index:StorageProbe::joviandss-probe";

const inputs = (change: Properties = {}): Properties => ({
  kubeconfig: wrap({ value: "an admin's" }, ["value"])["value"],
  storageClasses: [{ name: "joviandss-sc", driver: "iscsi.csi.joviandss.open-e.com" }],
  image: "registry.example.com/busybox:1",
  size: "1Gi",
  concurrency: 3,
  timeoutSeconds: 60,
  nodes: { w1: "v1.13.9 c9078f941996", w2: "v1.13.9 c9078f941996" },
  driver: { image: "docker.io/opene/joviandss-csi:v1.1.0", configuration: "0123" },
  ...change,
});

function make() {
  const clock = new VirtualClock();
  const cluster = new FakeProbeCluster(clock).class("joviandss-sc").node("w1").node("w2");
  let connections = 0;
  const nobody = async (): Promise<never> => Promise.reject(new Error("nothing else is asked"));
  const provider = new TalosNodeProvider({
    talos: nobody,
    connectKubernetes: nobody,
    connectProbe: async () => {
      connections += 1;
      return cluster;
    },
    acting: new SealedClients({ talos: nobody, kubernetes: nobody }),
    clock,
    timeouts: defaultTimeouts,
    advised: new Set(),
    statusOf: () => ({ status: () => undefined, info: () => undefined, warn: () => undefined }),
  });
  const diff = (state: Properties, before: Properties, after: Properties) =>
    provider.diff("storage-probe", urn, state, after, before);
  return { cluster, provider, diff, connections: () => connections };
}

describe("the resource StorageProbe", () => {
  it("outputs its findings, and keeps the kubeconfig secret", async () => {
    const { cluster, provider } = make();
    const { outs } = await provider.create(urn, inputs());
    const { values, secrets } = unwrap(outs);
    expect(values["result"]).toBe("passed");
    expect(values["volumes"]).toHaveLength(2);
    expect(values["probed"]).toMatch(/^1970-/);
    expect([...secrets]).toEqual(["kubeconfig"]);
    expect(cluster.contents()).toEqual([]);
  });

  it("does nothing in a preview, which only calls check and diff", async () => {
    const { provider, diff, connections } = make();
    expect((await provider.check(urn, {}, inputs({ kubeconfig: unknownValue }))).failures).toEqual([]);
    await diff({ ...inputs(), result: "passed" }, inputs(), inputs({ nodes: unknownValue }));
    expect(connections()).toBe(0);
  });

  it("probes again if the nodes or the driver change, but not for other credentials or limits", async () => {
    const { diff } = make();
    const state = { ...inputs(), result: "passed" };
    const changes = async (change: Properties) => diff(state, inputs(), inputs(change));
    expect(await changes({})).toEqual({ changes: false });
    expect(await changes({ kubeconfig: "renewed", timeoutSeconds: 9, concurrency: 1 })).toEqual({
      changes: false,
    });
    expect(await changes({ nodes: { w1: "v1.14.1 c9078f941996", w2: "v1.13.9 c9078f941996" } })).toEqual({
      changes: true,
      changed: ["nodes"],
      details: { "nodes.w1": "update" },
    });
    expect(
      await changes({ driver: { image: "docker.io/opene/joviandss-csi:v1.1.0", configuration: "4567" } }),
    ).toMatchObject({ changes: true, details: { "driver.configuration": "update" } });
    expect(await changes({ size: "2Gi" })).toMatchObject({ changes: true, details: { size: "update" } });
    // Known only in the deployment.
    expect(await changes({ nodes: unknownValue })).toMatchObject({ changes: true });
    expect(await changes({ nodes: { w1: unknownValue, w2: "v1.13.9 c9078f941996" } })).toMatchObject({
      details: { "nodes.w1": "update" },
    });
  });

  it("keeps the last result if nothing relevant changed", async () => {
    const { provider, connections } = make();
    const { outs } = await provider.create(urn, inputs());
    const { outs: after } = await provider.update("storage-probe", urn, outs, inputs({ timeoutSeconds: 9 }));
    expect(connections()).toBe(1);
    expect(unwrap(after).values).toMatchObject({ result: "passed", timeoutSeconds: 9 });
  });

  it("fails the deployment, records it in the state, and probes again in the next one", async () => {
    const { cluster, provider, diff } = make();
    cluster.unattachable.set("w2", "rpc error: no such portal");
    const failure = await expectFailure(provider.create(urn, inputs()));
    expect(failure.message).toMatch(/2 of 2 volumes failed.*no such portal.*pulumi up/s);
    expect(failure.message).not.toContain("an admin's");
    expect(failure.id).toBe("storage-probe");
    const state = failure.properties ?? {};
    expect(unwrap(state).values).toMatchObject({ result: "failed" });
    expect([...unwrap(state).secrets]).toEqual(["kubeconfig"]);
    // A refresh clears the engine's failure mark, but the recorded result must still count.
    const { inputs: read } = await provider.read("storage-probe", urn, state);
    expect(unwrap(read).values).toEqual(unwrap(inputs()).values);
    expect(await diff(state, read, inputs())).toMatchObject({ changes: true });
    cluster.unattachable.clear();
    const { outs } = await provider.update("storage-probe", urn, state, inputs());
    expect(unwrap(outs).values["result"]).toBe("passed");
    expect(await diff(outs, inputs(), inputs())).toEqual({ changes: false });
  });

  it("is stopped by Ctrl-C and by a killed engine, and leaves neither state nor objects", async () => {
    for (const end of ["cancel", "abandon"] as const) {
      const { cluster, provider } = make();
      cluster.before = (method) => {
        if (method === "attachments") void provider[end]();
      };
      const failure = await expectFailure(provider.create(urn, inputs()));
      expect(failure.properties).toBeUndefined();
      expect(failure.message).toMatch(/stopped.*removed/);
      expect(cluster.contents()).toEqual([]);
    }
  });

  it("refuses invalid inputs", async () => {
    const { provider } = make();
    const { failures = [] } = await provider.check(
      urn,
      {},
      inputs({ storageClasses: [], image: "", timeoutSeconds: 0, kubeconfig: 1, concurrency: -1 }),
    );
    expect(failures.map(({ reason }) => /\[(\w+)\]/.exec(reason)?.[1]).sort()).toEqual(
      ["concurrency", "image", "kubeconfig", "storageClasses", "timeoutSeconds"].sort(),
    );
  });
});
