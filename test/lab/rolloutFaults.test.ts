import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { clusterFaultCatalogue } from "../../lab/clusterFaults.ts";
import { faultCatalogue } from "../../lab/node/machine/faults.ts";
import { RolloutLab } from "./rollout.ts";

/**
 * Injects every fault the lab has into a rollout of five nodes with the real engine. A fault that the preflight can detect stops the
 * rollout before it starts. Any other fault stops it at its node, and the next `up` continues from there, into the next fault.
 */

const order = ["cp1", "cp2", "cp3", "w1", "w2"];
let lab: RolloutLab;

beforeAll(async () => {
  lab = await RolloutLab.start(1.5);
  // Adopt the cluster, including disruptive configuration changes, before the first fault: these tests are about rollouts.
  lab.want("v1.12.8");
  await lab.finish();
});
afterAll(async () => lab?.project.remove());
// Also after a failed test, so that the next one only has its own faults.
afterEach(() => lab.lift());

interface Strike {
  node: string;
  fault: string;
  value?: number;
  once?: boolean;
  says: RegExp;
}

const struck: string[] = [];
async function set({ node, fault, value, once }: Omit<Strike, "says">): Promise<void> {
  struck.push(fault);
  await lab.fault({
    node,
    fault,
    ...(value === undefined ? {} : { value }),
    ...(once === undefined ? {} : { once }),
  });
}

/** The engine does not wrap long messages, but repeats them in its summary. Matching either is fine. */
async function failingUp(): Promise<string> {
  const { code, text } = await lab.up();
  expect(code, text.slice(-3_000)).toBe(1);
  return text;
}

/** Faults on several nodes: one error names them all, and no node is touched. */
function stopsBeforeItBegins(title: string, ...strikes: Strike[]): void {
  test(`before it starts: ${title}`, async () => {
    const before = await lab.upgrades();
    for (const strike of strikes) await set(strike);
    await new Promise((resolve) => setTimeout(resolve, 500));
    const text = await failingUp();
    expect(text).toContain("[rollout-refused]");
    for (const { says } of strikes) expect(text).toMatch(says);
    expect(await lab.upgrades()).toEqual(before);
  });
}

/** A fault midway: the nodes before it are finished, those after it are not touched. */
function stopsAt({ says, ...strike }: Strike): void {
  test(`${strike.fault} on ${strike.node}`, async () => {
    const before = await lab.upgrades();
    const bootsBefore = Object.fromEntries((await lab.nodes()).map(({ name, boots }) => [name, boots]));
    await set(strike);
    const text = await failingUp();
    expect(text).toMatch(new RegExp(`${strike.node} \\([\\d.]+\\), step "${says.source}`, says.flags));
    const [after, machines] = [await lab.upgrades(), await lab.nodes()];
    for (const later of order.slice(order.indexOf(strike.node) + 1)) {
      expect([later, after[later]]).toEqual([later, before[later]]);
      expect([later, machines.find(({ name }) => name === later)?.boots]).toEqual([
        later,
        bootsBefore[later],
      ]);
    }
    await lab.lift();
  });
}

function finishes(): void {
  test("once the faults are lifted, up finishes and leaves no node cordoned", async () => {
    await lab.finish();
    expect(await lab.cordoned()).toEqual([]);
  });
}

describe("from v1.12.8, with the older upgrade API", () => {
  test("wanted", () => lab.want("v1.13.7"));
  // Configurations are applied before the rollout, so a node must have its own before a fault takes its API down. This first `up` applies them.
  stopsBeforeItBegins(
    "etcd, a worker's machine",
    { node: "cp1", fault: "etcd-alarm-corrupt", says: /etcd alarm CORRUPT at cp1/ },
    { node: "cp2", fault: "etcd-learner", says: /etcd member cp2 is a learner/ },
    { node: "cp3", fault: "etcd-alarm-nospace", says: /etcd alarm NOSPACE at cp3/ },
    { node: "w1", fault: "not-ready", says: /w1 \([\d.]+\), step "guard": the node is running, not ready/ },
  );
  stopsBeforeItBegins(
    "certificates, an etcd member, a kubelet",
    { node: "w1", fault: "certificates-refused", says: /w1 \([\d.]+\), step "inspect": .*certificate/i },
    { node: "cp2", fault: "etcd-member-unhealthy", says: /etcd on 127\.10\.0\.12/ },
    {
      node: "w2",
      fault: "kubelet-unhealthy",
      says: /w2 \([\d.]+\), step "guard": the node is running, not ready.*kubelet/,
    },
  );
  stopsBeforeItBegins(
    "a second control plane is down; rights, network, clock",
    {
      node: "cp3",
      fault: "node-down",
      says: /cp1 \([\d.]+\), step "guard": .*control plane 127\.10\.0\.13 is down/,
    },
    { node: "cp2", fault: "permission-denied", says: /cp2 \([\d.]+\), step "inspect": .*os:admin/ },
    {
      node: "w1",
      fault: "half-open",
      says: /w1 \([\d.]+\), step "inspect": the Talos API at 127\.10\.0\.21 cannot be used/,
    },
    { node: "w2", fault: "clock-skewed", says: /w2 \([\d.]+\), step "inspect": .*expired.*clocks/ },
  );
  stopsBeforeItBegins(
    "the Kubernetes API is down, and a member of etcd has never started",
    { node: "cp1", fault: "kubernetes-api-down", says: /the Kubernetes API does not answer/ },
    { node: "cp3", fault: "etcd-member-not-started", says: /was added and has never started/ },
  );
  stopsBeforeItBegins(
    "the image cannot be had",
    {
      node: "cp2",
      fault: "slow-pull",
      value: 1000,
      says: /cp2 \([\d.]+\), step "pull": the node could not pull/,
    },
    { node: "cp3", fault: "pull-fails", says: /cp3 \([\d.]+\), step "pull": .*503 Service Unavailable/ },
    {
      node: "w1",
      fault: "pull-not-found",
      says: /w1 \([\d.]+\), step "pull": .*\[image-not-found\]/,
    },
    { node: "w2", fault: "pull-hangs", says: /w2 \([\d.]+\), step "pull": the node could not pull/ },
  );
  stopsAt({ node: "cp1", fault: "install-exits-nonzero", says: /install": .*(exit code 3|upgrade failed)/ });
  stopsAt({ node: "cp2", fault: "falls-back", says: /verify": .*runs its old image again: v1\.12\.8/ });
  stopsAt({ node: "w1", fault: "iscsid-not-running", says: /verify": not running: ext-iscsid/ });
  stopsAt({ node: "w2", fault: "extension-missing", says: /verify": .*(without iscsi-tools|no schematic)/ });
  finishes();
});

describe("from v1.13.7, with LifecycleService", () => {
  test("wanted", () => lab.want("v1.13.9"));
  stopsAt({
    node: "cp1",
    fault: "install-exits-nonzero",
    says: /install": the installer failed with exit code 3/,
  });
  stopsAt({
    node: "cp2",
    fault: "stream-breaks",
    says: /install": the connection broke while the installer ran/,
  });
  stopsAt({ node: "cp3", fault: "falls-back", says: /verify": .*runs its old image again: v1\.13\.7/ });
  stopsAt({
    node: "w1",
    fault: "pdb-blocks",
    says: /drain": .*default\/may-not-leave-w1.*disruption budget/,
  });
  finishes();
});

describe("from v1.13.9 to an older patch release", () => {
  test("wanted", () => lab.want("v1.13.6"));
  stopsAt({
    node: "cp1",
    fault: "install-not-written",
    says: /verify": .*runs its old image again: v1\.13\.9/,
  });
  stopsAt({ node: "cp2", fault: "upgrade-locked", says: /install": .*\[install-busy\]/ });
  stopsAt({
    node: "cp3",
    fault: "reboot-ignored",
    says: /reboot": .*did not go down.*still in its old boot/,
  });
  stopsAt({ node: "w1", fault: "never-returns", says: /reboot": .*did not come back.*no answer/ });
  finishes();
});

describe("from v1.13.6", () => {
  test("wanted", () => lab.want("v1.13.5"));
  stopsAt({
    node: "cp1",
    fault: "schematic-differs",
    says: /verify": .*runs v1\.13\.5 with schematic 376567988ad3/,
  });
  stopsAt({ node: "cp2", fault: "iscsiadm-missing", says: /verify": .*\[extension-incomplete\]/ });
  stopsAt({
    node: "cp3",
    fault: "stream-breaks-late",
    says: /install": the connection broke while the installer ran/,
  });
  stopsAt({
    node: "w1",
    fault: "kubernetes-api-down-in-drain",
    says: /drain": .*the Kubernetes API did not answer after/,
  });
  stopsAt({
    node: "w2",
    fault: "reboots-during-install",
    says: /(install|reboot|verify)": .*(broke|old image|rebooted)/,
  });
  finishes();
});

describe("from v1.13.5, with temporary or tolerable faults", () => {
  test("up finishes and upgrades each node once", async () => {
    lab.want("v1.13.4");
    const before = await lab.upgrades();
    await set({ node: "cp1", fault: "reply-lost", once: true });
    await set({ node: "cp2", fault: "lifecycle-unimplemented" });
    await set({ node: "cp3", fault: "slow-boot", value: 3 });
    await set({ node: "w1", fault: "slow-install", value: 3 });
    await lab.finish();
    expect(await lab.upgrades()).toEqual(
      Object.fromEntries(Object.entries(before).map(([name, count]) => [name, count + 1])),
    );
    await lab.lift();
    expect(await lab.cordoned()).toEqual([]);
  });

  test("an API that fails every other call is reported with its node, or tolerated, and late answers of another are waited for", async () => {
    lab.want("v1.13.3");
    await set({ node: "w2", fault: "flaky-api" });
    await set({ node: "w1", fault: "slow-answers", value: 250 });
    const { code, text } = await lab.up();
    if (code !== 0) expect(text).toMatch(/w2/);
    await lab.lift();
    await lab.finish();
    expect(await lab.cordoned()).toEqual([]);
  });

  test("a control plane that fails while another one's installer runs stops that one's reboot", async () => {
    // Start from a release whose node keeps working during the install, whatever ran before this test.
    lab.want("v1.13.6");
    await lab.finish();
    const before = await lab.nodes();
    const of = (name: string, nodes = before) => nodes.find((node) => node.name === name);
    lab.want("v1.13.7");
    await set({ node: "cp1", fault: "slow-install" });
    let ended = false;
    const up = lab.up().finally(() => (ended = true));
    const log = (): Promise<string> => lab.project.tool("talosctl", "--nodes", "127.10.0.11", "dmesg");
    while (!ended && !(await log()).includes("starting upgrade"))
      await new Promise((resolve) => setTimeout(resolve, 50));
    await set({ node: "cp2", fault: "node-down" });
    const { code, text } = await up;
    expect(code).toBe(1);
    expect(text).toMatch(
      /cp1 \([\d.]+\), step "(install|gate|reboot)": .*control plane 127\.10\.0\.12 is down/,
    );
    expect(of("cp1", await lab.nodes())?.boots).toBe(of("cp1")?.boots);
    await lab.lift();
    await lab.finish();
    expect(await lab.cordoned()).toEqual([]);
    expect(of("cp1", await lab.nodes())?.upgrades).toBe((of("cp1")?.upgrades ?? 0) + 1);
  });

  test("up waits for an API server that is slow to restart after a configuration change, and then runs its upgrades", async () => {
    lab.want("v1.13.9");
    lab.alsoServe("kubernetes.example.com");
    const before = await lab.upgrades();
    await set({ node: "cp1", fault: "api-server-down" });
    const applies = async () => (await lab.nodes()).find(({ name }) => name === "cp1")?.applies;
    const had = await applies();
    let ended = false;
    const up = lab.up().finally(() => (ended = true));
    while (!ended && (await applies()) === had) await new Promise((resolve) => setTimeout(resolve, 100));
    // Longer than the grace period, after which the guard of an upgrade would give up.
    await new Promise((resolve) => setTimeout(resolve, 13_000));
    expect(ended).toBe(false);
    expect(await lab.upgrades()).toEqual(before);
    await lab.lift();
    const { code, text } = await up;
    expect(code, text.slice(-3_000)).toBe(0);
    expect(await lab.upgrades()).toEqual(
      Object.fromEntries(Object.entries(before).map(([name, count]) => [name, count + 1])),
    );
    expect(await lab.cordoned()).toEqual([]);
  });

  test("refuses to go back across an etcd minor release before touching anything", async () => {
    lab.want("v1.14.1");
    await lab.finish();
    const before = await lab.nodes();
    lab.want("v1.13.9");
    const text = await failingUp();
    expect(text).toMatch(/v1\.13\.9 runs etcd 3\.6\.\d+, and etcd's data has version 3\.7/);
    const boots = (nodes: typeof before) => nodes.map(({ name, upgrades, boots }) => [name, upgrades, boots]);
    expect(boots(await lab.nodes())).toEqual(boots(before));
  });

  test("every fault in the catalogue was injected", () => {
    const all = [...faultCatalogue, ...clusterFaultCatalogue].map(({ id }) => id);
    expect(all.length).toBeGreaterThanOrEqual(24);
    expect(all.filter((id) => !struck.includes(id))).toEqual([]);
  });
});
