import { spawn, type ChildProcess } from "node:child_process";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { parse, stringify } from "yaml";
import type { Properties } from "../../provider/secrets.ts";
import { redactMachineConfig } from "../../talos/redact.ts";
import { FakeKubernetes } from "./fakeKubernetes.ts";
import { createHarness } from "./nodeUpgradeHarness.ts";
import { SimulatedCluster } from "./simulatedCluster.ts";

// A configuration change alongside another run, on what could be another machine: the two processes share only the cluster.

const urn =
  "urn:pulumi:dev::talos-iscsi::talos-iscsi:index:TalosCluster$talos-node:index:NodeConfiguration::cluster-config";
let cluster: SimulatedCluster;
let kubernetes: FakeKubernetes;
let leases: Server;
let other: ChildProcess | undefined;

beforeAll(async () => {
  cluster = await SimulatedCluster.start({ subnet: "127.49.23", controlPlanes: 3, workers: 1 });
});
afterAll(async () => cluster?.stop());
beforeEach(async () => {
  kubernetes = new FakeKubernetes();
  leases = createServer((request, response) => {
    const pieces: Buffer[] = [];
    request.on("data", (piece: Buffer) => pieces.push(piece));
    request.on("end", () => {
      const { holder, version } = JSON.parse(Buffer.concat(pieces).toString() || "{}") as {
        holder?: string;
        version?: string;
      };
      const answer =
        request.url === "/readLease" ? kubernetes.readLease() : kubernetes.writeLease(holder, version);
      void answer.then((value) => response.end(JSON.stringify({ value })));
    });
  });
  await new Promise<void>((resolve) => void leases.listen(0, "127.0.0.1", resolve));
});
afterEach(async () => {
  other?.kill("SIGKILL");
  leases.close();
});

/** Another process that requests the cluster lock, prints when it has it, and releases it when it reads the next line. */
async function otherRun(): Promise<{ says: (word: string) => Promise<void>; end: () => void }> {
  const module = join(import.meta.dirname, "../../provider/gate/clusterLock.ts");
  const url = `http://127.0.0.1:${(leases.address() as AddressInfo).port}`;
  const script = `
    const { acquireClusterLock } = await import(${JSON.stringify(module)});
    const { realClock } = await import(${JSON.stringify(join(import.meta.dirname, "../../provider/clock.ts"))});
    const ask = async (path, body) =>
      (await (await fetch(${JSON.stringify(url)} + path, { method: "POST", body: JSON.stringify(body) })).json()).value;
    const turn = await acquireClusterLock(
      { readLease: () => ask("/readLease", {}), writeLease: (holder, version) => ask("/writeLease", { holder, version }) },
      {
        clock: realClock,
        timeouts: { pollMs: 20, pollMaxMs: 40, kubernetesMs: 5000 },
        signal: new AbortController().signal,
        tell: () => console.log("waiting"),
      },
    );
    console.log("mine");
    process.stdin.once("data", async () => {
      await turn.end();
      process.exit();
    });`;
  const child = spawn(process.execPath, ["--no-warnings", "--input-type=module", "-e", script]);
  other = child;
  const seen: string[] = [];
  createInterface({ input: child.stdout }).on("line", (line) => seen.push(line));
  const says = async (word: string): Promise<void> => {
    while (!seen.includes(word)) {
      if (child.exitCode !== null) throw new Error("the other run has ended");
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  };
  return { says, end: () => void child.stdin.write("\n") };
}

function inputsOf(name: string, change: (machine: Record<string, unknown>) => void): Properties {
  const node = cluster.node(name);
  const config = parse(node.config?.text ?? "") as { machine: Record<string, unknown> };
  change(config.machine);
  const machineConfiguration = stringify(config);
  return {
    name,
    node: node.address,
    role: node.identity().role,
    controlPlanes: ["cp1", "cp2", "cp3"].map((one) => cluster.node(one).address),
    clientConfiguration: { ...cluster.credentials },
    machineConfiguration,
    configuration: redactMachineConfig(machineConfiguration),
    patches: [],
    contract: "v1.12",
    timeoutSeconds: 30,
  };
}

const sysctl = (machine: Record<string, unknown>): void => {
  machine["sysctls"] = { "vm.nr_hugepages": "1024" };
};
const applied = (name: string): number => cluster.node(name).snapshot().appliedConfigs.length;
// Generous, for a machine that also runs other tests.
const patient = {
  probeMs: 10_000,
  contactMs: 30_000,
  recoveryMs: 30_000,
  guardMs: 30_000,
  kubernetesMs: 30_000,
};

describe("a control plane's configuration", () => {
  it("waits for the upgrade of another run, then takes the cluster lock", async () => {
    const run = await otherRun();
    await run.says("mine");
    const { provider, status } = createHarness(kubernetes, patient);
    const apply = provider.create(urn, inputsOf("cp2", sysctl));
    const waits = (): boolean => status.some((line) => line.includes("another run is working"));
    let over = false;
    void apply.finally(() => (over = true));
    while (!waits() && !over) await new Promise((resolve) => setTimeout(resolve, 5));
    expect(applied("cp2")).toBe(0);
    run.end();
    await apply;
    expect(applied("cp2")).toBe(1);
    // The lock was released.
    expect(kubernetes.lease?.holder).toBeUndefined();
  });

  it("finishes before another run gets the lock", async () => {
    const { provider, status } = createHarness(kubernetes, { ...patient, steadyMs: 1_500 });
    const apply = provider.create(urn, inputsOf("cp1", sysctl));
    while (applied("cp1") === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    const run = await otherRun();
    await Promise.race([run.says("waiting"), apply]);
    const order: string[] = [];
    await Promise.all([
      apply.then(() => order.push("configured")),
      run.says("mine").then(() => order.push("the other run")),
    ]);
    expect(order).toEqual(["configured", "the other run"]);
    run.end();
    expect(status.join()).not.toContain("another run");
  });

  it("is applied without the lock if Kubernetes does not answer, since it may be the fix", async () => {
    kubernetes.down = "connect ECONNREFUSED";
    const { provider } = createHarness(kubernetes, { ...patient, kubernetesMs: 200 });
    await provider.create(urn, inputsOf("cp3", sysctl));
    expect(applied("cp3")).toBe(1);
  });
});

describe("a change that disturbs no control plane", () => {
  it("takes no lock: on a worker, in settings that only an installer reads, or when the node is up to date", async () => {
    kubernetes.lease = { holder: "ci-7 0123456789ab 42 one", version: "1" };
    const { provider } = createHarness(kubernetes, patient);
    const before = [applied("cp1"), applied("cp2")];
    await provider.create(urn, inputsOf("w1", sysctl));
    const image = `machine:\n  install:\n    image: ${cluster.image("v1.13.9")}\n`;
    const installs = inputsOf("cp1", (machine) => {
      machine["install"] = { ...(machine["install"] as object), image: cluster.image("v1.13.9") };
    });
    await provider.create(urn, { ...installs, patches: [image] });
    await provider.create(
      urn,
      inputsOf("cp2", () => undefined),
    );
    expect(applied("w1")).toBe(1);
    expect([applied("cp1"), applied("cp2")]).toEqual([(before[0] ?? 0) + 1, before[1]]);
    expect([kubernetes.calls.get("readLease"), kubernetes.calls.get("writeLease")]).toEqual([
      undefined,
      undefined,
    ]);
  });
});
