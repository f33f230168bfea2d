import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { parse, stringify } from "yaml";
import type { Properties } from "../../provider/secrets.ts";
import { connectActor } from "../../talos/api/actor.ts";
import { redactMachineConfig } from "../../talos/redact.ts";
import { FakeKubernetes } from "./fakeKubernetes.ts";
import { targetOf } from "./fakeStorage.ts";
import { expectFailure, createHarness, type Harness } from "./nodeUpgradeHarness.ts";
import { SimulatedCluster } from "./simulatedCluster.ts";

/** A configuration change that restarts the kubelet of a node with iSCSI volumes. */

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

/** The driver's node plugin as its DaemonSet deploys it, with or without this program's shims. */
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
// Generous, for a machine that also runs other tests.
const patient = { probeMs: 10_000, contactMs: 30_000, recoveryMs: 30_000, guardMs: 30_000 };
const applied = (name: string): number => cluster.node(name).snapshot().appliedConfigs.length;

describe("a preview of a machine.kubelet change", () => {
  it("lists the pods with iSCSI volumes on the node, and warns of nothing without any", async () => {
    driver(true);
    const own = createHarness(kubernetes, patient);
    await own.provider.check(urn, {}, inputsOf("w1", kubelet));
    expect(own.warnings).toEqual([
      `w1 (127.49.17.21): this restarts the kubelet, which restages its iSCSI volumes under running pods: ${volume}`,
    ]);
    for (const inputs of [inputsOf("w2", kubelet), inputsOf("w1", sysctls)]) {
      const quiet = createHarness(kubernetes, patient);
      await quiet.provider.check(urn, {}, inputs);
      expect(quiet.warnings).toEqual([]);
    }
  });

  it("warns if a driver would log out its sessions, and if Kubernetes does not answer", async () => {
    driver(false);
    const own = createHarness(kubernetes, patient);
    const { failures } = await own.provider.check(urn, {}, inputsOf("w1", kubelet));
    expect(failures).toEqual([]);
    expect(own.warnings[0]).toContain("lacks this program's shims");

    kubernetes.down = "connection refused";
    const blind = createHarness(kubernetes, patient);
    await blind.provider.check(urn, {}, inputsOf("w1", kubelet));
    expect(blind.warnings).toEqual([
      "w1 (127.49.17.21): this restarts the kubelet. The pods with iSCSI volumes there could not be read: connection refused",
    ]);
  });
});

describe("deploying a machine.kubelet change", () => {
  it("proceeds under volumes whose driver survives a kubelet restart", async () => {
    driver(true);
    await createHarness(kubernetes, patient).provider.create(urn, inputsOf("w1", kubelet));
    expect(applied("w1")).toBe(1);
  });

  it("restarts one kubelet of the cluster at a time", async () => {
    driver(true);
    let [active, most] = [0, 0];
    const own = createHarness(kubernetes, patient, (connection) => {
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

  it.each<[string, () => void, Properties, string]>([
    [
      "whose driver would log them out, where drains are turned off",
      () => driver(false),
      { drain: { enabled: false } },
      "[kubelet-volumes]",
    ],
    [
      "of which nobody can tell whose they are",
      () => (kubernetes.down = "refused"),
      {},
      "refused [volumes-unknown]",
    ],
  ])("is refused under volumes %s, until they have left", async (_, prepare, settings, problem) => {
    prepare();
    const inputs = { ...inputsOf("w1", kubelet), ...settings };
    const { message } = await expectFailure(createHarness(kubernetes, patient).provider.create(urn, inputs));
    expect(message).toContain("w1 (127.49.17.21): its configuration was not applied");
    expect(message).toContain(problem);
    expect([applied("w1"), kubernetes.log]).toEqual([0, []]);

    // After a drain: the session left with its volume.
    cluster.node("w1").boot?.iscsi.logout(targetOf("pv-1"));
    await createHarness(kubernetes, patient).provider.create(urn, inputs);
    expect(applied("w1")).toBe(1);
  });
});

/** Simulates the driver and kubelet: the volume of an evicted pod leaves, and the pod comes back once the node is uncordoned. */
function movesVolumes({ comesBack = true } = {}): void {
  const node = (name: string): string => (name === "db-0" ? "w1" : "w2");
  const volumeOf = (name: string): string => (name === "db-0" ? "pv-1" : "pv-2");
  kubernetes.after = (entry) => {
    const [what = "", name = ""] = entry.split(" ");
    if (what === "evict") {
      cluster.node(node(name)).boot?.iscsi.logout(targetOf(volumeOf(name)));
      kubernetes.storage.detach(volumeOf(name), node(name));
    }
    if (what !== "uncordon") return;
    const pod = name === "w1" ? "db-0" : "db-1";
    const claims = [`default/claim-of-${volumeOf(pod)}`];
    kubernetes.pod(name, pod, { owner: "StatefulSet", claims, running: false });
    setTimeout(() => {
      kubernetes.storage.attach(name, volumeOf(pod));
      if (comesBack) kubernetes.pods = kubernetes.pods.map((one) => ({ ...one, running: true }));
    }, 100);
  };
}

/** A provider that reports each apply, and counts dry runs. */
function watching(
  onApply: (node: string) => void,
  onDryRun: (times: number) => void = () => undefined,
): Harness {
  let dryRuns = 0;
  return createHarness(kubernetes, { ...patient, guardMs: 2_000 }, (connection) => {
    const talos = connectActor(connection);
    const apply = talos.applyConfiguration.bind(talos);
    talos.applyConfiguration = async (request, call) => {
      if (request.dryRun === true) onDryRun(++dryRuns);
      else onApply(talos.node);
      return apply(request, call);
    };
    return talos;
  });
}

describe("with volumes that their driver would log out", () => {
  beforeEach(() => {
    driver(false);
    movesVolumes();
    for (const name of ["w1", "w2"]) kubernetes.storage.drivers.set(name, ["iscsi.csi.joviandss.open-e.com"]);
  });
  const state = (name: string): unknown => {
    const { unschedulable, annotations } = kubernetes.get(name);
    return { unschedulable, annotations };
  };
  const asItWas = { unschedulable: false, annotations: {} };
  const refusal = async (inputs: Properties, own = createHarness(kubernetes, patient)): Promise<string> => {
    const { message } = await expectFailure(own.provider.create(urn, inputs));
    expect(message).toMatch(/^w1 \(127\.49\.17\.21\): its configuration was not applied/);
    expect(applied("w1")).toBe(0);
    return message;
  };

  it("the node is drained, its kubelet restarts without volumes, and its volumes are back at the end", async () => {
    const seen: unknown[] = [];
    const own = watching(() =>
      seen.push([
        kubernetes.get("w1").unschedulable,
        kubernetes.pods.filter(({ node }) => node === "w1"),
        kubernetes.storage.attached.all.filter(({ node }) => node === "w1"),
        cluster.node("w1").boot?.iscsi.targets,
      ]),
    );
    await own.provider.create(urn, inputsOf("w1", kubelet));
    expect(seen).toEqual([[true, [], [], []]]);
    expect(kubernetes.log).toEqual(["cordon w1", "evict db-0", "uncordon w1"]);
    expect(kubernetes.storage.attached.all.map(({ volume: name }) => name).sort()).toEqual(["pv-1", "pv-2"]);
    expect([applied("w1"), state("w1")]).toEqual([1, asItWas]);
  });

  it("one node at a time is drained", async () => {
    cluster.node("w2").boot?.iscsi.login(targetOf("pv-2"), "10.0.0.5");
    kubernetes.pod("w2", "db-1", { owner: "StatefulSet", claims: ["default/claim-of-pv-2"] });
    const own = createHarness(kubernetes, patient);
    await Promise.all(["w1", "w2"].map((name) => own.provider.create(urn, inputsOf(name, kubelet))));
    const ends = kubernetes.log
      .filter((entry) => !entry.startsWith("evict"))
      .map((entry) => entry.split(" ")[0]);
    expect(ends).toEqual(["cordon", "uncordon", "cordon", "uncordon"]);
    expect([applied("w1"), applied("w2")]).toEqual([1, 1]);
  });

  it("a preview announces the drain", async () => {
    const own = createHarness(kubernetes, patient);
    await own.provider.check(urn, {}, inputsOf("w1", kubelet));
    expect(own.warnings[0]).toContain("The node is drained first, one node at a time");
    expect(kubernetes.log).toEqual([]);
  });

  it("a volume that does not leave stops the change, and the node stays as it was", async () => {
    kubernetes.after = () => undefined;
    const message = await refusal({ ...inputsOf("w1", kubelet), drain: { timeoutSeconds: 1 } });
    expect(message).toContain("volumes had not left after 1 s: volume pv-1");
    expect([kubernetes.log, state("w1")]).toEqual([["cordon w1", "evict db-0", "uncordon w1"], asItWas]);
  });

  it("a volume that attaches after the drain stops the change", async () => {
    // The first dry run comes before the drain, the second one after it.
    const own = watching(
      () => undefined,
      (times) => times === 2 && kubernetes.storage.attach("w1", "pv-late"),
    );
    expect(await refusal(inputsOf("w1", kubelet), own)).toContain(
      "volumes are still on the node: volume pv-late",
    );
    expect(state("w1")).toEqual(asItWas);
  });

  it.each<[string, () => void, string]>([
    [
      "is not ready",
      () => Object.assign(kubernetes.get("w2"), { ready: false, reason: "gone" }),
      "w2 is not ready: gone",
    ],
    [
      "is cordoned by an upgrade",
      () => (kubernetes.get("w2").annotations["talos-iscsi/cordoned-by"] = "talos-node"),
      "w2 is still cordoned",
    ],
    [
      "waits for its storage",
      () => (kubernetes.get("w2").annotations["talos-iscsi/storage-before"] = "{}"),
      "the storage of w2 is not back yet",
    ],
    [
      "does not exist",
      () => ["cp1", "w2"].forEach((name) => kubernetes.cluster.delete(name)),
      "[drain-single-node]",
    ],
  ])("the change is refused while another node %s", async (_, prepare, problem) => {
    prepare();
    expect(await refusal(inputsOf("w1", kubelet))).toContain(problem);
    expect(kubernetes.log).toEqual([]);
  });

  it("storage that does not come back is an error, and the next run waits for it without a second apply", async () => {
    movesVolumes({ comesBack: false });
    const inputs = { ...inputsOf("w1", kubelet), storageGate: { timeoutSeconds: 1 } };
    const failed = await expectFailure(createHarness(kubernetes, patient).provider.create(urn, inputs));
    expect(failed.message).toContain(
      "its configuration was applied; then this failed: storage is not healthy after 1 s",
    );
    expect(kubernetes.get("w1").unschedulable).toBe(false);
    const props = failed.properties ?? {};
    const again = await expectFailure(
      createHarness(kubernetes, patient).provider.update("w1", urn, props, inputs),
    );
    expect(again.message).toContain("storage is not healthy after 1 s");
    kubernetes.pods = kubernetes.pods.map((pod) => ({ ...pod, running: true }));
    await createHarness(kubernetes, patient).provider.update("w1", urn, props, inputs);
    expect([applied("w1"), state("w1")]).toEqual([1, asItWas]);
  });

  it("the next run finishes a killed run, and keeps another owner's cordon", async () => {
    const inputs = inputsOf("w1", kubelet);
    const cordonedBy = "talos-iscsi/cordoned-by";
    const killed = { unschedulable: true, annotations: { [cordonedBy]: "talos-node kubelet" } };
    // Killed after the drain, then killed after the apply.
    cluster.node("w1").boot?.iscsi.logout(targetOf("pv-1"));
    for (let times = 1; times <= 2; times++) {
      Object.assign(kubernetes.get("w1"), killed);
      await createHarness(kubernetes, patient).provider.create(urn, inputs);
      expect([applied("w1"), state("w1")]).toEqual([1, asItWas]);
    }

    Object.assign(kubernetes.get("w1"), { unschedulable: true, annotations: { [cordonedBy]: "talos-node" } });
    await createHarness(kubernetes, patient).provider.create(urn, inputs);
    expect(state("w1")).toEqual({ unschedulable: true, annotations: { [cordonedBy]: "talos-node" } });
  });
});
