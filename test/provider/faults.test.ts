import { afterAll, describe, expect, it } from "vitest";
import { expectFailure, createHarness, inputsFor, urn } from "./nodeUpgradeHarness.ts";
import { SimulatedCluster } from "./simulatedCluster.ts";

// Each case has its own cluster, so cases can run in parallel.
const clusters: SimulatedCluster[] = [];
let subnets = 0;
async function start(version: string, controlPlanes = 1): Promise<SimulatedCluster> {
  const cluster = await SimulatedCluster.start({
    subnet: `127.44.${100 + subnets++}`,
    version,
    controlPlanes,
  });
  clusters.push(cluster);
  return cluster;
}
afterAll(async () => {
  await Promise.all(clusters.map((cluster) => cluster.stop()));
});

interface Case {
  fault: string;
  value?: number;
  /** Where the fault is. The upgraded node is cp1. */
  on?: string;
  from?: "v1.12.7" | "v1.13.7";
  step: string;
  says: RegExp;
  /** The version that the node runs afterwards. */
  runs: "v1.12.7" | "v1.13.7" | "v1.13.9" | "nothing";
  /** Reboots before the fault clears. */
  reboots: number;
}

const lifecycle = { from: "v1.13.7", runs: "v1.13.7", reboots: 0 } as const;
const untouched = { runs: "v1.12.7", reboots: 0 } as const;
const cases: Case[] = [
  { fault: "pull-fails", ...untouched, step: "pull", says: /could not pull .*503 Service Unavailable/ },
  { fault: "pull-not-found", ...untouched, step: "pull", says: /not found.*\[image-not-found\]/ },
  { fault: "pull-fails", ...lifecycle, step: "pull", says: /503 Service Unavailable/ },
  {
    fault: "pull-hangs",
    ...lifecycle,
    step: "pull",
    says: /could not pull .* within .*no progress was reported/,
  },
  {
    fault: "slow-pull",
    value: 1000,
    ...lifecycle,
    step: "pull",
    says: /could not pull .* within .*(it got to (\d+ % of|unpacking)|no progress)/,
  },
  {
    fault: "install-exits-nonzero",
    ...lifecycle,
    step: "install",
    says: /exit code 3, .*error: failed to write/,
  },
  {
    fault: "install-exits-nonzero",
    ...untouched,
    reboots: 1,
    step: "install",
    says: /exit code 3|upgrade failed/,
  },
  {
    fault: "stream-breaks",
    ...lifecycle,
    step: "install",
    says: /the connection broke while the installer ran/,
  },
  {
    fault: "stream-breaks-late",
    ...lifecycle,
    step: "install",
    says: /the connection broke while the installer ran/,
  },
  { fault: "upgrade-locked", ...lifecycle, step: "install", says: /\[install-busy\]/ },
  {
    fault: "install-not-written",
    ...lifecycle,
    reboots: 1,
    step: "verify",
    says: /runs its old image again: v1\.13\.7/,
  },
  {
    fault: "falls-back",
    ...lifecycle,
    reboots: 1,
    step: "verify",
    says: /runs its old image again: v1\.13\.7/,
  },
  {
    fault: "falls-back",
    ...untouched,
    reboots: 1,
    step: "verify",
    says: /runs its old image again: v1\.12\.7 with no schematic, not v1\.13\.9/,
  },
  {
    fault: "falls-back-late",
    ...lifecycle,
    reboots: 2,
    step: "verify",
    says: /runs its old image again: v1\.13\.7.*does not boot or does not finish booting/,
  },
  {
    fault: "falls-back-late",
    ...untouched,
    reboots: 2,
    step: "verify",
    says: /runs its old image again: v1\.12\.7 with no schematic, not v1\.13\.9/,
  },
  {
    fault: "never-returns",
    from: "v1.13.7",
    runs: "nothing",
    reboots: 0,
    step: "reboot",
    says: /did not come back within .*last seen: no answer/,
  },
  {
    fault: "reboot-ignored",
    ...lifecycle,
    step: "reboot",
    says: /was asked to reboot and did not go down within .*still in its old boot/,
  },
  {
    fault: "schematic-differs",
    ...lifecycle,
    runs: "v1.13.9",
    reboots: 1,
    step: "verify",
    says: /runs v1\.13\.9 with schematic 376567988ad3…, not v1\.13\.9 with schematic c9078f941996…/,
  },
  {
    fault: "extension-missing",
    ...lifecycle,
    runs: "v1.13.9",
    reboots: 1,
    step: "verify",
    says: /iscsi-tools \(.*: none\) \[image-missing-extension\]|v1\.13\.9 with no schematic.*\[image-wrong\]/,
  },
  {
    fault: "iscsiadm-missing",
    ...lifecycle,
    runs: "v1.13.9",
    reboots: 1,
    step: "verify",
    says: /\/usr\/local\/sbin\/iscsiadm is missing \[extension-incomplete\]/,
  },
  {
    fault: "certificates-refused",
    ...lifecycle,
    step: "inspect",
    says: /cannot be used: .*(certificate|unknown ca|alert)/i,
  },
  { fault: "clock-skewed", ...lifecycle, step: "inspect", says: /certificate has expired.*clocks/ },
  { fault: "permission-denied", ...lifecycle, step: "inspect", says: /os:admin/ },
  { fault: "half-open", ...lifecycle, step: "inspect", says: /cannot be used/ },
  {
    fault: "node-down",
    ...lifecycle,
    runs: "nothing",
    step: "inspect",
    says: /cannot be used: .*Check that the node is on/,
  },
  { fault: "not-ready", ...lifecycle, step: "guard", says: /the node is running, not ready/ },
  { fault: "etcd-learner", on: "cp2", ...lifecycle, step: "guard", says: /etcd member cp2 is a learner/ },
  { fault: "etcd-alarm-nospace", on: "cp2", ...lifecycle, step: "guard", says: /etcd alarm NOSPACE at cp2/ },
  { fault: "etcd-alarm-corrupt", on: "cp3", ...lifecycle, step: "guard", says: /etcd alarm CORRUPT at cp3/ },
  {
    fault: "etcd-member-unhealthy",
    on: "cp2",
    ...lifecycle,
    step: "guard",
    says: /etcd on 127\.44\.\d+\.12/,
  },
  {
    fault: "etcd-member-not-started",
    on: "cp2",
    ...lifecycle,
    step: "guard",
    says: /192\.0\.2\.1 was added and has never started/,
  },
  {
    fault: "node-down",
    on: "cp3",
    ...lifecycle,
    step: "guard",
    says: /control plane 127\.44\.\d+\.13 is down/,
  },
  {
    fault: "not-ready",
    on: "cp3",
    ...lifecycle,
    step: "guard",
    says: /control plane 127\.44\.\d+\.13 is running, not ready/,
  },
];

/** What the message claims about the node must be true, and each command in it must name its node. */
function expectTrue(
  message: string,
  node: ReturnType<ReturnType<SimulatedCluster["node"]>["snapshot"]>,
): void {
  const rebooted = node.boots.length > 1;
  if (message.includes("It has not rebooted")) expect([message, rebooted]).toEqual([message, false]);
  if (message.includes("It has rebooted")) expect([message, rebooted]).toEqual([message, true]);
  expect(message).not.toMatch(/untouched|not touched|was not rebooted/);
  const [, runs] = /It has (?:not )?rebooted, and runs (\S+) with/.exec(message) ?? [];
  if (runs !== undefined) expect(runs).toBe(node.version);
  for (const [command] of message.matchAll(/`talosctl [^`]*`/g)) expect(command).toContain("--nodes 127.");
}

describe("a fault stops the upgrade with an error that names it, and the next run finishes once the fault clears", () => {
  it.concurrent.each(cases)("$fault on $on (from $from): step $step", async (test) => {
    const { fault, value, on = "cp1", from = "v1.12.7", step, says, runs, reboots } = test;
    const inThree = on !== "cp1";
    const cluster = await start(from, inThree ? 3 : 1);
    const inputs = inputsFor(cluster, "cp1", { timeoutSeconds: 3 });
    const node = cluster.node("cp1");
    const faulty = cluster.node(on);
    faulty.faults.set(fault, value === undefined ? {} : { value });
    // The node changes its certificates a moment later.
    if (fault === "certificates-refused" || fault === "clock-skewed")
      await new Promise((r) => setTimeout(r, 400));
    if (fault === "node-down") while (faulty.snapshot().powered) await new Promise((r) => setTimeout(r, 10));

    const { provider } = createHarness();
    const failed = await expectFailure(provider.create(urn, inputs));
    expect(failed.message).toMatch(new RegExp(`^cp1 \\(127\\.44\\.\\d+\\.11\\), step "${step}": `));
    expect(failed.message).toMatch(says);
    expect(failed.message).not.toContain(cluster.credentials.clientKey);
    const after = node.snapshot();
    expectTrue(failed.message, after);
    expect(after.powered ? after.version : "nothing").toBe(runs);
    expect(after.reboots).toBe(reboots);

    faulty.faults.clear();
    await cluster.ready();
    const again = createHarness();
    const inputsAgain = { ...inputs, timeoutSeconds: 15 };
    if (failed.id === undefined) await again.provider.create(urn, inputsAgain);
    else {
      expect(failed.properties).toMatchObject({
        node: node.address,
        clientConfiguration: { value: cluster.credentials },
      });
      await again.provider.update(failed.id, urn, failed.properties ?? {}, inputsAgain);
    }
    expect(node.snapshot().version).toBe("v1.13.9");
  });
});

describe("a temporary fault does not stop the upgrade", () => {
  it.concurrent.each([
    ["reply-lost", "v1.13.7"],
    ["reply-lost", "v1.12.7"],
    ["lifecycle-unimplemented", "v1.13.7"],
    ["slow-boot", "v1.13.7"],
  ])("%s from %s", async (fault, from) => {
    const cluster = await start(from);
    cluster.node("cp1").faults.set(fault, { value: 5, once: fault === "reply-lost" });
    const work = createHarness().provider.create(urn, inputsFor(cluster, "cp1", { timeoutSeconds: 10 }));
    await work;
    expect(cluster.node("cp1").snapshot()).toMatchObject({ version: "v1.13.9", upgrades: 1, reboots: 1 });
  });
});

it("an error reports that a node which rebooted during installation still runs its old image", async () => {
  const cluster = await start("v1.12.7");
  const node = cluster.node("cp1");
  node.faults.set("reboots-during-install", { value: 5 });
  const work = createHarness().provider.create(urn, inputsFor(cluster, "cp1", { timeoutSeconds: 10 }));
  const { message } = await expectFailure(work);
  expect(message).toMatch(/old image|It has rebooted/);
  expectTrue(message, node.snapshot());
  expect(node.snapshot().version).toBe("v1.12.7");
});

describe("a node that comes back from its reboot with a wrong clock", () => {
  it("is reported as running, and the error points to the clocks instead of the console", async () => {
    const cluster = await start("v1.13.7");
    const node = cluster.node("cp1");
    node.faults.set("slow-boot", { value: 5 });
    const own = createHarness();
    let hasEnded = false;
    const inputs = inputsFor(cluster, "cp1", { timeoutSeconds: 20 });
    const failed = expectFailure(own.provider.create(urn, inputs)).finally(() => (hasEnded = true));
    while (!hasEnded && node.snapshot().reboots === 0)
      await new Promise((resolve) => setTimeout(resolve, 10));
    node.faults.set("clock-skewed");
    const { message } = await failed;
    expect(message).toMatch(/step "reboot": .*certificate has expired.*clocks/);
    expect(message).not.toMatch(/no answer|did not come back|console/);
    expectTrue(message, node.snapshot());
  });
});
