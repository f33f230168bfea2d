import { afterEach, describe, expect, it } from "vitest";
import { parse, stringify } from "yaml";
import { connectActor } from "../../talos/api/actor.ts";
import { connectTalos } from "../../talos/api/client.ts";
import { FakeKubernetes } from "./fakeKubernetes.ts";
import { expectFailure, createHarness, inputsFor, urn } from "./nodeUpgradeHarness.ts";
import { SimulatedCluster } from "./simulatedCluster.ts";

// How a real node goes down, and how its readiness flaps. A program that trusts `ready` alone would mistake this for the end of a reboot or restart.

let cluster: SimulatedCluster;
afterEach(async () => cluster?.stop());

describe("a machine on its way down", () => {
  it("still reports ready with its old boot ID; its reboot is waited for and requested once", async () => {
    cluster = await SimulatedCluster.start({
      ...{ subnet: "127.44.91", version: "v1.13.7" },
      timings: { rebootSeconds: 6 },
    });
    const node = cluster.node("cp1");
    const before = node.snapshot().bootId;
    let reboots = 0;
    const counting: typeof connectActor = (connection) => {
      const actor = connectActor(connection);
      const reboot = actor.reboot.bind(actor);
      actor.reboot = async (...args) => {
        reboots += 1;
        return reboot(...args);
      };
      return actor;
    };
    const seen = new Set<string>();
    const watch = connectTalos({ endpoint: node.address, credentials: cluster.credentials });
    const looking = setInterval(() => {
      void Promise.all([watch.machineStatus(), watch.bootId()]).then(
        ([{ stage, ready }, bootId]) =>
          void seen.add(
            `${stage}, ${ready ? "ready" : "not ready"}, ${bootId === before ? "old" : "new"} boot`,
          ),
        () => undefined,
      );
    }, 50);
    // The node still answers for 10 times longer than the retry interval.
    const timeouts = { rebootMs: 150, settleMs: 10_000, serviceMs: 10_000, guardMs: 10_000 };
    const inputs = inputsFor(cluster, "cp1", { timeoutSeconds: 60 });
    await createHarness(undefined, timeouts, counting).provider.create(urn, inputs);
    clearInterval(looking);
    watch.close();
    expect([...seen]).toContain("rebooting, ready, old boot");
    expect(reboots).toBe(1);
    expect(node.snapshot()).toMatchObject({ version: "v1.13.9", upgrades: 1, reboots: 1 });
  });

  it("whose older upgrade failed reboots by itself; it is installed once, then uncordoned", async () => {
    cluster = await SimulatedCluster.start({ subnet: "127.44.92", version: "v1.12.7", workers: 2 });
    const kubernetes = new FakeKubernetes();
    for (const { name, address } of cluster.nodes) kubernetes.add(name, address);
    const node = cluster.node("w1");
    node.faults.set("install-exits-nonzero");
    const timeouts = { settleMs: 10_000, serviceMs: 10_000, guardMs: 10_000, kubernetesMs: 10_000 };
    const drained = { drain: { enabled: true, timeoutSeconds: 20 }, kubeconfig: "x", timeoutSeconds: 60 };
    const { message } = await expectFailure(
      createHarness(kubernetes, timeouts).provider.create(urn, inputsFor(cluster, "w1", drained)),
    );
    expect(message).toMatch(/^w1 \(\S+\), step "install": the upgrade failed on the node: .*exit code 3/);
    expect(message).toContain("It was uncordoned.");
    expect(node.installs).toHaveLength(1);
    expect(node.snapshot()).toMatchObject({ version: "v1.12.7", reboots: 1, stage: "running" });
    expect(kubernetes.get("w1").unschedulable).toBe(false);
  });
});

describe("a control plane whose API server restarts", () => {
  it("flaps, and the configuration is done only once it stays ready", async () => {
    cluster = await SimulatedCluster.start({
      ...{ subnet: "127.44.93", version: "v1.13.9" },
      timings: { bootSeconds: 4 },
    });
    const node = cluster.node("cp1");
    const config = parse(node.config?.text ?? "") as { cluster: { apiServer?: object } };
    config.cluster.apiServer = { certSANs: ["10.0.0.1"] };
    const seen: string[] = [];
    const watch = setInterval(() => {
      const { ready, unmet } = node.snapshot();
      const now = ready ? "ready" : unmet.map(({ name, reason }) => `${name} ${reason}`).join();
      if (seen.at(-1) !== now) seen.push(now);
    }, 5);
    const timeouts = { guardMs: 10_000, recoveryMs: 60_000, steadyMs: 2_000, serviceMs: 60_000 };
    await createHarness(undefined, timeouts).provider.create(
      "urn:pulumi:dev::talos-iscsi::talos-node:index:NodeConfiguration::config",
      {
        ...{ name: "cp1", node: node.address, role: "controlplane", controlPlanes: [node.address] },
        clientConfiguration: { ...cluster.credentials },
        ...{ machineConfiguration: stringify(config), configuration: "redacted", contract: "v1.12" },
        ...{ acceptDropped: [], patches: ["cluster:\n  apiServer:\n    certSANs: [10.0.0.1]\n"] },
      },
    );
    const until = seen.length;
    // Longer than any gap between two restarts.
    await new Promise((resolve) => setTimeout(resolve, 3_000));
    clearInterval(watch);
    expect(seen.filter((now) => now === "ready").length).toBeGreaterThanOrEqual(3);
    expect(seen).toContain("services kubelet not healthy");
    expect(seen.slice(until)).toEqual([]);
    expect(seen.at(-1)).toBe("ready");
  });
});
