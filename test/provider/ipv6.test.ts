import { networkInterfaces } from "node:os";
import { parse, stringify } from "yaml";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { departures } from "../../talos/members.ts";
import type { Properties } from "../../provider/secrets.ts";
import { findNode } from "../../provider/steps/drain.ts";
import { redactMachineConfig } from "../../talos/redact.ts";
import { FakeKubernetes } from "./fakeKubernetes.ts";
import { createHarness, inputsFor, urn } from "./nodeUpgradeHarness.ts";
import { SimulatedCluster } from "./simulatedCluster.ts";

// One IPv6 address can be written in several ways.

const hasLoopback = Object.values(networkInterfaces()).some((all) =>
  all?.some(({ address }) => address === "::1"),
);

describe.runIf(hasLoopback)("a node with an IPv6 address", () => {
  const configurationUrn =
    "urn:pulumi:dev::talos-iscsi::talos-iscsi:index:TalosCluster$talos-node:index:NodeConfiguration::cluster-config";
  let cluster: SimulatedCluster;
  let kubernetes: FakeKubernetes;
  const timeouts = { probeMs: 5_000, contactMs: 10_000, recoveryMs: 5_000, guardMs: 5_000 };

  beforeAll(async () => {
    cluster = await SimulatedCluster.start({ subnet: "127.59.1", address: () => "::1" });
    kubernetes = new FakeKubernetes();
    kubernetes.add("cp1", "::1");
  });
  afterAll(async () => cluster?.stop());

  it("gets its configuration", async () => {
    const { provider } = createHarness(kubernetes, timeouts);
    const config = parse(cluster.node("cp1").config?.text ?? "") as { machine: Record<string, unknown> };
    config.machine["sysctls"] = { "vm.nr_hugepages": "1024" };
    const machineConfiguration = stringify(config);
    const checked = await provider.check(
      configurationUrn,
      {},
      {
        ...{ name: "cp1", node: "::1", role: "controlplane", controlPlanes: ["::1"], contract: "v1.12" },
        clientConfiguration: { ...cluster.credentials },
        machineConfiguration,
        configuration: redactMachineConfig(machineConfiguration),
        patches: ['machine:\n  sysctls:\n    vm.nr_hugepages: "1024"\n'],
        timeoutSeconds: 3,
      },
    );
    expect(checked.failures).toEqual([]);
    expect((checked.inputs as Properties)["changes"]).toEqual(["+ machine.sysctls.vm.nr_hugepages: 1024"]);
    await provider.create(configurationUrn, checked.inputs as Properties);
    expect(cluster.node("cp1").snapshot().appliedConfigs).toHaveLength(1);
  });

  it.each([
    ["v1.13.7", "::1", undefined],
    ["v1.13.9", "0:0:0:0:0:0:0:1", { "*": ["[::1]:50000"] }],
  ])("is upgraded to %s as %s and refreshed", async (talosVersion, node, endpoints) => {
    const { provider } = createHarness(kubernetes, timeouts);
    const ways = endpoints === undefined ? {} : { endpoints };
    const inputs = inputsFor(cluster, "cp1", {
      ...{ talosVersion, node, controlPlanes: [node], timeoutSeconds: 15, ...ways },
      kubeconfig: "of a test",
    });
    const { outs } = await provider.create(urn, inputs);
    expect(outs).toMatchObject({ runningVersion: talosVersion, kubernetesNode: "cp1" });
    const { props } = await provider.read(node, urn, inputs);
    expect(props).toMatchObject({ runningVersion: talosVersion });
  });
});

describe("a different spelling of an IPv6 address", () => {
  it("finds the same Kubernetes node", () => {
    const node = { name: "w1", addresses: ["fd00::21"] } as Parameters<typeof findNode>[0][number];
    expect(findNode([node], undefined, "fd00:0:0::21")).toBe(node);
  });

  it("does not count as a removal, even if the node's name changes too", () => {
    const before = [{ name: "w1", node: "fd00::21", role: "worker" as const }];
    const inputs = {
      nodes: [{ name: "w9", node: "FD00:0:0::21", role: "worker" as const }],
      onRemove: "reset" as const,
    };
    expect(departures(before, inputs as Parameters<typeof departures>[1])).toEqual([]);
  });
});
