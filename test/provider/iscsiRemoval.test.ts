import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { parse, stringify } from "yaml";
import type { Properties } from "../../provider/secrets.ts";
import { redactMachineConfig } from "../../talos/redact.ts";
import { FakeKubernetes } from "./fakeKubernetes.ts";
import { expectFailure, createHarness } from "./nodeUpgradeHarness.ts";
import { SimulatedCluster } from "./simulatedCluster.ts";

/** `iscsi: false` on a running node: the changed label removes the CSI drivers, and with them the only way to unmount a volume. */

const urn =
  "urn:pulumi:dev::talos-iscsi::talos-iscsi:index:TalosCluster$talos-node:index:NodeConfiguration::cluster-config";
const patient = { probeMs: 10_000, contactMs: 30_000, recoveryMs: 30_000, guardMs: 30_000 };
let cluster: SimulatedCluster;
let kubernetes: FakeKubernetes;

beforeAll(async () => {
  cluster = await SimulatedCluster.start({ subnet: "127.59.2", workers: 1 });
});
beforeEach(() => {
  kubernetes = new FakeKubernetes();
  for (const { name, address } of cluster.nodes) kubernetes.add(name, address);
  kubernetes.pod("w1", "db-0", { owner: "StatefulSet", claims: ["default/claim-of-pv-1"] });
});
afterAll(async () => cluster?.stop());

function inputs(): Properties {
  const node = cluster.node("w1");
  const config = parse(node.config?.text ?? "") as { machine: Record<string, unknown> };
  config.machine["nodeLabels"] = { rack: "r1", "talos-iscsi/iscsi": "false" };
  const machineConfiguration = stringify(config);
  return {
    ...{ name: "w1", node: node.address, role: "worker", contract: "v1.12", timeoutSeconds: 3 },
    controlPlanes: [cluster.node("cp1").address],
    clientConfiguration: { ...cluster.credentials },
    machineConfiguration,
    configuration: redactMachineConfig(machineConfiguration),
    patches: [],
  };
}

const applied = (): number => cluster.node("w1").snapshot().appliedConfigs.length;

describe("iscsi: false on a running node", () => {
  it("is refused in preview and deployment while volumes of our drivers are on the node", async () => {
    kubernetes.storage.attach("w1", "pv-1");
    const { provider } = createHarness(kubernetes, patient);
    const { failures = [] } = await provider.check(urn, {}, inputs());
    const { message } = await expectFailure(provider.create(urn, inputs()));
    for (const told of [failures[0]?.reason, message]) {
      expect(told).toContain("volume pv-1 (claim default/claim-of-pv-1");
      expect(told).toContain("kubectl drain w1");
    }
    expect(applied()).toBe(0);
  });

  it("is refused while Kubernetes does not answer", async () => {
    kubernetes.down = "connection refused";
    const { message } = await expectFailure(
      createHarness(kubernetes, patient).provider.create(urn, inputs()),
    );
    expect(message).toContain("connection refused");
    expect(applied()).toBe(0);
  });

  it("is applied once no volume is left", async () => {
    const { provider } = createHarness(kubernetes, patient);
    const { failures } = await provider.check(urn, {}, inputs());
    expect(failures).toEqual([]);
    await provider.create(urn, inputs());
    expect(applied()).toBe(1);
  });
});
