import { spawn, type ChildProcess } from "node:child_process";
import { hostname } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { Cancelled } from "../../../provider/errors.ts";
import { acquireClusterLock, type ClusterLock } from "../../../provider/gate/clusterLock.ts";
import { acquireHostLock } from "../../../provider/gate/hostLock.ts";
import { KubernetesError } from "../../../provider/kubernetes.ts";
import { FakeKubernetes } from "../../provider/fakeKubernetes.ts";
import { steppingClock } from "./steppingClock.ts";

// The cluster lock, between processes and machines that share nothing else.

const children: ChildProcess[] = [];
afterEach(() => {
  for (const child of children.splice(0)) child.kill("SIGKILL");
});

/** Another process that takes the lock and keeps it. */
async function otherProcess(cluster: string): Promise<ChildProcess> {
  const module = join(import.meta.dirname, "../../../provider/gate/hostLock.ts");
  const script = `const { acquireHostLock } = await import(${JSON.stringify(module)});
    await acquireHostLock(${JSON.stringify(cluster)}, new AbortController().signal, () => {});
    console.log("mine");
    setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ["--no-warnings", "--input-type=module", "-e", script]);
  children.push(child);
  await new Promise((resolve) => child.stdout?.once("data", resolve));
  return child;
}

describe("two processes on one machine", () => {
  it("hold the lock one at a time, and a killed process releases it at once", async () => {
    const child = await otherProcess("cluster 1");
    let waited = false;
    const turn = acquireHostLock("cluster 1", new AbortController().signal, () => (waited = true));
    // Another cluster has its own lock.
    (await acquireHostLock("cluster 2", new AbortController().signal, () => expect.unreachable()))();
    while (!waited) await new Promise((resolve) => setTimeout(resolve, 5));
    const first = await Promise.race([turn, Promise.resolve("still waiting")]);
    expect(first).toBe("still waiting");
    child.kill("SIGKILL");
    (await turn)();
  });

  it("can be stopped while they wait", async () => {
    await otherProcess("cluster 3");
    const stop = new AbortController();
    const turn = acquireHostLock("cluster 3", stop.signal, () => stop.abort());
    await expect(turn).rejects.toBeInstanceOf(Cancelled);
  });
});

function site(clock = steppingClock()) {
  const told: string[] = [];
  const timeouts = { pollMs: 250, pollMaxMs: 2_000, kubernetesMs: 30_000 };
  const tell = (text: string): void => void told.push(text);
  return { clock, timeouts, signal: new AbortController().signal, tell, told };
}

async function taken(kubernetes: FakeKubernetes, own = site()): Promise<ClusterLock> {
  const turn = await acquireClusterLock(kubernetes, own);
  if (turn === undefined || "problem" in turn) throw new Error(`no turn: ${JSON.stringify(turn)}`);
  return turn;
}

describe("runs on two machines", () => {
  it("share a Lease in Kubernetes, which is released at the end", async () => {
    const kubernetes = new FakeKubernetes();
    const turn = await taken(kubernetes);
    expect(kubernetes.lease?.holder).toMatch(new RegExp(`^${hostname()} .* ${process.pid} `));
    expect(await turn.hold()).toBeUndefined();
    await turn.end();
    expect(kubernetes.lease?.holder).toBeUndefined();
  });

  it("wait while the other run renews its Lease, and a minute longer", async () => {
    const kubernetes = new FakeKubernetes();
    kubernetes.lease = { holder: "ci-7 0123456789ab 42 one", version: "1" };
    const own = site();
    let renewals = 0;
    const { clock } = own;
    const sleep = clock.sleep.bind(clock);
    clock.sleep = async (ms, signal) => {
      await sleep(ms, signal);
      // Five more renewals, one every 15 s. Then its machine is gone.
      if (renewals < 5 && clock.now() > 15_000 * (renewals + 1)) {
        renewals += 1;
        kubernetes.lease = { holder: "ci-7 0123456789ab 42 one", version: `renewed ${renewals}` };
      }
    };
    // Another writer's Lease version need not be a number.
    kubernetes.writeLease = async (holder, version) => {
      if (version !== kubernetes.lease?.version) return undefined;
      kubernetes.lease = { holder, version: "ours" };
      return "ours";
    };
    await (await taken(kubernetes, own)).end();
    expect(clock.now()).toBeGreaterThan(75_000 + 60_000);
    expect(clock.now()).toBeLessThan(75_000 + 70_000);
    expect(own.told[0]).toMatch(/another run is working on this cluster \(ci-7/);
  });

  it("notice that a process on the same machine is gone", async () => {
    const kubernetes = new FakeKubernetes();
    await (await taken(kubernetes)).hold();
    const gone = spawn(process.execPath, ["-e", ""]);
    await new Promise((resolve) => gone.once("exit", resolve));
    const holder = kubernetes.lease?.holder?.split(" ") ?? [];
    kubernetes.lease = { holder: [holder[0], holder[1], gone.pid, "x"].join(" "), version: "1" };
    const own = site();
    await (await taken(kubernetes, own)).end();
    expect(own.clock.now()).toBe(0);
    // The same process ID on another machine means nothing.
    kubernetes.lease = { holder: `ci-7 0123456789ab ${gone.pid} one`, version: "2" };
    const patient = site();
    await (await taken(kubernetes, patient)).end();
    expect(patient.clock.now()).toBeGreaterThanOrEqual(60_000);
  });

  it("detect before acting that another run has acquired their lock", async () => {
    const kubernetes = new FakeKubernetes();
    const turn = await taken(kubernetes);
    kubernetes.lease = { holder: "ci-7 0123456789ab 42 one", version: "99" };
    expect(await turn.hold()).toMatchObject({ code: "cluster-busy" });
    await turn.end();
    expect(kubernetes.lease?.holder).toBe("ci-7 0123456789ab 42 one");
  });

  it("keep the lock if the answer to a renewal is lost", async () => {
    const kubernetes = new FakeKubernetes();
    const turn = await taken(kubernetes);
    const take = kubernetes.writeLease.bind(kubernetes);
    kubernetes.writeLease = async (holder, version) => {
      kubernetes.writeLease = take;
      await take(holder, version);
      throw new KubernetesError("the connection broke");
    };
    expect(await turn.hold()).toBeUndefined();
    await turn.end();
    expect(kubernetes.lease?.holder).toBeUndefined();
  });

  it("do nothing while Kubernetes does not answer; without the right to Leases there is no lock", async () => {
    const kubernetes = new FakeKubernetes();
    kubernetes.down = "connect ECONNREFUSED";
    expect(await acquireClusterLock(kubernetes, site())).toMatchObject({
      problem: expect.stringMatching(/does not answer: .*ECONNREFUSED/) as string,
    });
    kubernetes.down = undefined;
    kubernetes.before = () => {
      throw new KubernetesError("leases is forbidden", 403);
    };
    expect(await acquireClusterLock(kubernetes, site())).toBeUndefined();
  });
});
