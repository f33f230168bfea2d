import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { parse, stringify } from "yaml";
import type { Properties } from "../../provider/secrets.ts";
import { connectActor } from "../../talos/api/actor.ts";
import { redactMachineConfig } from "../../talos/redact.ts";
import { FakeKubernetes } from "./fakeKubernetes.ts";
import { targetOf } from "./fakeStorage.ts";
import { failureOf, harness } from "./nodeUpgradeHarness.ts";
import { SimulatedCluster } from "./simulatedCluster.ts";

/** A change of the configuration that restarts the kubelet of a node with volumes over iSCSI. */

const urn =
  "urn:pulumi:dev::talos-iscsi::talos-iscsi:index:TalosCluster$talos-node:index:NodeConfiguration::cluster-config";
let cluster: SimulatedCluster;
let kubernetes: FakeKubernetes;

beforeEach(async () => {
  cluster = await SimulatedCluster.start({ subnet: "127.49.17", workers: 2 });
  kubernetes = new FakeKubernetes();
  for (const { name, address } of cluster.nodes) kubernetes.add(name, address);
  cluster.node("w1").boot?.iscsi.login(targetOf("pv-1"), "10.0.0.5");
  kubernetes.storage.attach("w1", "pv-1").attach("w2", "pv-2");
  kubernetes.pod("w1", "db-0", { owner: "StatefulSet", claims: ["default/claim-of-pv-1"] });
});
afterEach(async () => cluster.stop());

/** The node plugin as DaemonSets have it, with the shims of this program or without. */
function driver(shims: boolean): void {
  const annotations = shims ? { "talos-iscsi/shims-checksum": "1" } : {};
  const path = "/var/lib/kubelet/plugins/iscsi.csi.joviandss.open-e.com/";
  const template = { metadata: { annotations }, spec: { volumes: [{}, { hostPath: { path } }] } };
  kubernetes.others.set("DaemonSet", [{ metadata: { name: "joviandss-node" }, spec: { template } } as never]);
}

function inputsOf(name: string, machine: Record<string, unknown>): Properties {
  const node = cluster.node(name);
  const config = parse(node.config?.text ?? "") as { machine: Record<string, unknown> };
  Object.assign(config.machine, machine);
  const machineConfiguration = stringify(config);
  return {
    name,
    node: node.address,
    role: node.identity().role,
    controlPlanes: [cluster.node("cp1").address],
    clientConfiguration: { ...cluster.credentials },
    machineConfiguration,
    configuration: redactMachineConfig(machineConfiguration),
    patches: [],
    contract: "v1.12",
    timeoutSeconds: 3,
  };
}

const kubelet = { kubelet: { extraArgs: { "max-pods": "200" } } };
const sysctls = { sysctls: { "vm.nr_hugepages": "1024" } };
const volume =
  "volume pv-1 (claim default/claim-of-pv-1, driver iscsi.csi.joviandss.open-e.com, target iqn.2019-04.com.example:pv-1, portal 10.0.0.5:3260, used by pod default/db-0 (StatefulSet))";
// Enough for a machine that is busy with other tests.
const patient = { probeMs: 10_000, contactMs: 30_000, recoveryMs: 30_000, guardMs: 30_000 };
const applied = (name: string): number => cluster.node(name).snapshot().appliedConfigs.length;

describe("a preview of a change of machine.kubelet", () => {
  it("shows the pods with iSCSI volumes on the node, and nothing where there are none", async () => {
    driver(true);
    const own = harness(kubernetes, patient);
    await own.provider.check(urn, {}, inputsOf("w1", kubelet));
    expect(own.warnings).toEqual([
      `w1 (127.49.17.21): this restarts the kubelet, which stages its volumes over iSCSI again, under their pods: ${volume}`,
    ]);
    for (const inputs of [inputsOf("w2", kubelet), inputsOf("w1", sysctls)]) {
      const quiet = harness(kubernetes, patient);
      await quiet.provider.check(urn, {}, inputs);
      expect(quiet.warnings).toEqual([]);
    }
  });

  it("says so where a driver would log its sessions out, and where nobody can tell", async () => {
    driver(false);
    const own = harness(kubernetes, patient);
    const { failures } = await own.provider.check(urn, {}, inputsOf("w1", kubelet));
    expect(failures).toEqual([]);
    expect(own.warnings[0]).toContain("has no shims of this program, and logs such sessions out");

    kubernetes.down = "connection refused";
    const blind = harness(kubernetes, patient);
    await blind.provider.check(urn, {}, inputsOf("w1", kubelet));
    expect(blind.warnings).toEqual([
      "w1 (127.49.17.21): this restarts the kubelet. Which pods have iSCSI volumes there is not known: connection refused",
    ]);
  });
});

describe("its deployment", () => {
  it("goes on under volumes whose driver survives it", async () => {
    driver(true);
    await harness(kubernetes, patient).provider.create(urn, inputsOf("w1", kubelet));
    expect(applied("w1")).toBe(1);
  });

  it("restarts one kubelet of the cluster at a time", async () => {
    driver(true);
    let [active, most] = [0, 0];
    const own = harness(kubernetes, patient, (connection) => {
      const talos = connectActor(connection);
      const apply = talos.applyConfiguration.bind(talos);
      talos.applyConfiguration = async (request, call) => {
        if (request.dryRun === true) return apply(request, call);
        most = Math.max(most, ++active);
        const answer = await apply(request, call);
        await new Promise((resolve) => setTimeout(resolve, 100));
        active--;
        return answer;
      };
      return talos;
    });
    await Promise.all(["w1", "w2"].map((name) => own.provider.create(urn, inputsOf(name, kubelet))));
    expect([most, applied("w1"), applied("w2")]).toEqual([1, 1, 1]);
  });

  it.each([
    ["whose driver would log them out", () => driver(false), "has no shims of this program"],
    [
      "of which nobody can tell whose they are",
      () => (kubernetes.down = "refused"),
      "nobody can tell whose: refused",
    ],
  ])("is refused under volumes %s, until they have left", async (_, prepare, problem) => {
    prepare();
    const inputs = inputsOf("w1", kubelet);
    const { message } = await failureOf(harness(kubernetes, patient).provider.create(urn, inputs));
    expect(message).toContain("w1 (127.49.17.21): its configuration was not applied");
    expect(message).toContain(problem);
    expect(applied("w1")).toBe(0);

    // Drained: the session is gone with its volume.
    cluster.node("w1").boot?.iscsi.logout(targetOf("pv-1"));
    await harness(kubernetes, patient).provider.create(urn, inputs);
    expect(applied("w1")).toBe(1);
  });
});
