import fc from "fast-check";
import { expect } from "vitest";
import type { Clock } from "../../../provider/clock.ts";
import { defaultPatience } from "../../../provider/context.ts";
import { Acting } from "../../../provider/gate/acting.ts";
import { cordonedBy, installedImage } from "../../../provider/kubernetes.ts";
import { UpgradeError } from "../../../provider/errors.ts";
import { nodeUpgradeInputs } from "../../../provider/inputs.ts";
import { Session } from "../../../provider/session.ts";
import { upgradeNode } from "../../../provider/upgrade.ts";
import { laneCount, upgradeLanes } from "../../../talos/lanes.ts";
import { bootIdOf, FakeFleet, type Image, type Machine, type Trouble } from "./fakeFleet.ts";

/**
 * Random clusters in random states, as earlier runs and other people leave them, through the very steps of an upgrade: in the order of the
 * lanes, with nodes that fail on the way, and then once more without.
 */

const wanted: Image = { version: "v1.13.9", schematic: "a".repeat(64) };
const image = `factory.talos.dev/metal-installer/${wanted.schematic}:${wanted.version}`;

/** How a node is found. */
const state = fc.constantFrom(
  "on the older API",
  "on the newer API",
  "with another schematic",
  "settled",
  "settled, cordoned by us",
  "cordoned by us",
  "cordoned by somebody",
  "installed, not rebooted",
);
const trouble = fc.constantFrom<(Trouble | undefined)[]>(
  ...Array.from({ length: 30 }, () => undefined),
  "pull fails",
  "installer fails",
  "falls back",
  "budget blocks",
  "never detaches",
  "leaks a session",
  "attaches late",
);
const leftoverSessions = fc.constantFrom<("warn" | "refuse")[]>("warn", "refuse");
// Two control planes cannot lose one: the guard refuses them, which has tests of its own.
export const cluster = fc.record({
  controlPlanes: fc
    .array(fc.record({ state, trouble }), { minLength: 1, maxLength: 9 })
    .filter((list) => list.length !== 2),
  workers: fc.array(fc.record({ state, trouble }), { maxLength: 40 }),
  leftoverSessions,
  maxUnavailable: fc.oneof(
    fc.integer({ min: 1, max: 12 }),
    fc.integer({ min: 1, max: 100 }).map((percent) => `${percent}%`),
  ),
});
export type Cluster = typeof cluster extends fc.Arbitrary<infer T> ? T : never;
type State = typeof state extends fc.Arbitrary<infer T> ? T : never;

function fleetOf({ controlPlanes, workers, leftoverSessions: leftover }: Cluster): FakeFleet {
  const machine = (role: Machine["role"], number: number, found: State): Machine => {
    const settled = found.startsWith("settled");
    const old: Image =
      found === "on the older API"
        ? { version: "v1.12.7", schematic: "b".repeat(64) }
        : found === "with another schematic"
          ? { ...wanted, schematic: "b".repeat(64) }
          : { version: "v1.13.7", schematic: "b".repeat(64) };
    const name = `${role === "controlplane" ? "cp" : "w"}${number}`;
    return {
      name,
      role,
      address: `10.0.${role === "controlplane" ? 0 : 1}.${number}`,
      runs: settled ? wanted : old,
      ...(found === "installed, not rebooted" ? { installed: wanted } : {}),
      boot: 0,
      away: 0,
      installs: 0,
      boots: 0,
    };
  };
  const all = [
    ...controlPlanes.map((one, index) => ({
      ...one,
      machine: machine("controlplane", index + 1, one.state),
    })),
    ...workers.map((one, index) => ({ ...one, machine: machine("worker", index + 1, one.state) })),
  ];
  const fleet = new FakeFleet(all.map((one) => one.machine));
  fleet.leftoverSessions = leftover;
  for (const {
    machine: { name },
    state: found,
    trouble: wrong,
  } of all) {
    const node = fleet.kubernetes.get(name);
    if (found.includes("cordoned") || found === "installed, not rebooted") node.unschedulable = true;
    if (found.includes("cordoned by us") || found === "installed, not rebooted")
      node.annotations[cordonedBy] = "talos-node";
    if (found === "installed, not rebooted")
      node.annotations[installedImage] = `done ${bootIdOf(name, 0)} ${image}`;
    if (!found.startsWith("settled")) fleet.setTrouble(name, wrong);
  }
  return fleet;
}

/** Time goes by as it is waited for, and everything else that can run does so meanwhile. */
export function impatientClock(): Clock {
  let now = 0;
  return {
    now: () => now,
    sleep: async (ms, signal) => {
      await new Promise((resolve) => setImmediate(resolve));
      // Whoever was woken has not waited.
      if (!signal.aborted) now += ms;
    },
  };
}

/** One deployment, as the engine does it: a node starts when all it waits for have succeeded. @returns which nodes failed */
async function deploy(
  fleet: FakeFleet,
  maxUnavailable: number | string,
  { inOrder = true, preflightMs = 0 } = {},
): Promise<string[]> {
  const failed: string[] = [];
  const done = new Map<string, Promise<boolean>>();
  const controlPlanes = fleet.machines
    .filter(({ role }) => role === "controlplane")
    .map(({ address }) => address);
  for (const { node, after } of upgradeLanes(fleet.machines, maxUnavailable)) {
    const before = Promise.all(inOrder ? after.map(async (name) => done.get(name)) : []);
    done.set(
      node.name,
      before.then(async (results) => {
        if (results.includes(false)) return false;
        const ok = await upgrade(fleet, node, controlPlanes, preflightMs);
        if (!ok) failed.push(node.name);
        return ok;
      }),
    );
  }
  await Promise.all(done.values());
  return failed;
}

async function upgrade(
  fleet: FakeFleet,
  { name, address, role }: Machine,
  controlPlanes: string[],
  preflightMs: number,
): Promise<boolean> {
  fleet.tried.add(name);
  const session = await open(fleet, { name, address, role }, controlPlanes);
  // Others were waited for in between: none of that is this node's time.
  await session.context.clock.sleep(preflightMs, session.context.signal);
  const outcome = await upgradeNode(session.context);
  // Whatever happened, there is an outcome for the state, and an error for people.
  if (!outcome.ok) {
    expect(outcome.error).toBeInstanceOf(UpgradeError);
    if (fleet.failures !== undefined) fleet.failures.push(outcome.error);
  }
  return outcome.ok;
}

/** A change of a node's configuration, at any moment of the rollout. It is done or refused; what it must not do the fleet tells. */
async function configure(fleet: FakeFleet, machine: Machine, controlPlanes: string[]): Promise<void> {
  const { context } = await open(fleet, machine, controlPlanes);
  try {
    const request = { data: "machine: {}", mode: "NO_REBOOT", disturbs: true } as const;
    await context.gate.applyConfiguration(request, { deadlineMs: 10_000 });
  } catch (error) {
    expect(error).toBeInstanceOf(Error);
  }
}

/** The connections of one operation on one node. */
async function open(
  fleet: FakeFleet,
  { name, address, role }: Pick<Machine, "name" | "address" | "role">,
  controlPlanes: string[],
): Promise<Session> {
  const inputs = nodeUpgradeInputs({
    name,
    node: address,
    role,
    talosVersion: wanted.version,
    schematicId: wanted.schematic,
    image,
    extensions: ["siderolabs/iscsi-tools"],
    services: ["ext-iscsid"],
    controlPlanes,
    clientConfiguration: {},
    kubeconfig: "in memory",
    drain: { timeoutSeconds: 5, leftoverSessions: fleet.leftoverSessions },
  });
  const ignore = (): void => undefined;
  const talos = async () => (connection: { endpoint: string }) => fleet.client(connection.endpoint);
  return Session.open(
    {
      talos,
      connectKubernetes: async () => fleet.kubernetes,
      acting: new Acting({ talos, kubernetes: async () => fleet.kubernetes }),
      clock: impatientClock(),
      patience: defaultPatience,
      advised: new Set(),
      statusOf: () => ({ status: ignore, info: ignore, warn: ignore }),
    },
    "urn",
    inputs,
    new AbortController().signal,
  );
}

/** The states and troubles of a single run: everything is upgraded once, in order, and the second run finishes what the first could not. */
export async function expectOrderlyRollout(random: Cluster): Promise<void> {
  const fleet = fleetOf(random);
  const found = [...random.controlPlanes, ...random.workers];
  const settled = fleet.machines.filter((_, index) => found[index]?.state.startsWith("settled"));
  const foreign = fleet.machines
    .filter((_, index) => found[index]?.state === "cordoned by somebody")
    .map(({ name }) => name);

  const failed = await deploy(fleet, random.maxUnavailable);
  const troubled = fleet.machines.filter((machine) => machine.trouble !== undefined).map(({ name }) => name);
  expect(failed.filter((name) => !troubled.includes(name))).toEqual([]);
  const disturbed = fleet.log.map((entry) => entry.split(" ") as [string, string]);
  if (failed.some((name) => name.startsWith("cp"))) {
    // A failed control plane stops the ones after it and every worker.
    const first = Math.min(
      ...failed.filter((name) => name.startsWith("cp")).map((name) => Number(name.slice(2))),
    );
    const later = disturbed.filter(
      ([, name]) => /^(w|pod-of-w)/.test(name) || (name.startsWith("cp") && Number(name.slice(2)) > first),
    );
    expect(later).toEqual([]);
  } else {
    const lastControlPlane = disturbed.findLastIndex(
      ([what, name]) => what === "reboot" && name.startsWith("cp"),
    );
    const firstWorker = disturbed.findIndex(([what, name]) => what !== "uncordon" && name.startsWith("w"));
    if (firstWorker !== -1) expect(firstWorker).toBeGreaterThan(lastControlPlane);
  }

  for (const { name } of fleet.machines) fleet.setTrouble(name, undefined);
  expect(await deploy(fleet, random.maxUnavailable)).toEqual([]);
  for (const machine of fleet.machines) expect([machine.name, machine.runs]).toEqual([machine.name, wanted]);
  for (const { name, boots, installs } of settled) expect([name, boots, installs]).toEqual([name, 0, 0]);
  for (const [index, { name, boots, installs }] of fleet.machines.entries()) {
    const { state: was, trouble: wrong } = found[index] ?? {};
    const tried = failed.includes(name);
    const isSettled = was?.startsWith("settled") === true;
    const fellBack = tried && wrong === "falls back";
    const failedInstalls = fellBack || (tried && wrong === "installer fails") ? 1 : 0;
    // What an earlier run has installed is only booted into, unless that boot falls back.
    const isWaiting = was === "installed, not rebooted";
    const toInstall = isSettled ? 0 : isWaiting ? Number(fellBack) : 1 + failedInstalls;
    expect([name, was, wrong, installs]).toEqual([name, was, wrong, toInstall]);
    const reboots = isSettled ? 0 : 1 + Number(fellBack);
    expect([name, was, wrong, boots]).toEqual([name, was, wrong, reboots]);
  }
  expect(fleet.mostDown.controlplane).toBeLessThanOrEqual(1);
  expect(fleet.mostDown.worker).toBeLessThanOrEqual(laneCount(random.workers.length, random.maxUnavailable));
  const cordoned = [...fleet.kubernetes.cluster.values()].filter(({ unschedulable }) => unschedulable);
  expect(cordoned.map(({ name }) => name).sort()).toEqual(foreign.sort());
  for (const { annotations } of fleet.kubernetes.cluster.values()) expect(annotations).toEqual({});
}

const faults = fc.record({
  /** A control plane fails for good when this happens to another. */
  peer: fc.option(
    fc.record({
      when: fc.constantFrom("pull", "install", "cordon", "evict", "uncordon"),
      of: fc.nat({ max: 8 }),
      fails: fc.nat({ max: 8 }),
    }),
    { nil: undefined, freq: 2 },
  ),
  /** How many reads after a boot do not tell the schematic yet. */
  late: fc.nat({ max: 4 }),
  /** The so-many-th call of a method at some machine, or of Kubernetes (-1), fails. */
  error: fc.option(
    fc.record({
      at: fc.integer({ min: -1, max: 12 }),
      method: fc.constantFrom(
        ...[
          "version",
          "bootId",
          "machineStatus",
          "services",
          "extensions",
          "kubernetesNode",
          "hasFile",
          "readText",
        ],
        ...[
          "etcdMembers",
          "etcdStatus",
          "etcdAlarms",
          "installHistory",
          "pull",
          "pullLegacy",
          "install",
          "reboot",
        ],
        ...[
          "upgradeLegacy",
          "upgradeFailure",
          "forfeitLeadership",
          "nodes",
          "node",
          "podsOn",
          "evict",
          "patchNode",
        ],
        ...["attachments", "list"],
      ),
      nth: fc.integer({ min: 1, max: 6 }),
      kind: fc.constantFrom("unexpected", "unreachable", "timeout", "denied", "failed", "locked", "notFound"),
    }),
    { nil: undefined, freq: 3 },
  ),
  /** As `--target` and any parallelism may do: nobody waits for anybody. */
  inOrder: fc.boolean(),
  /** How long a preflight takes, during which a node's connections are open already. The limit of a step is half an hour. */
  preflightMs: fc.constantFrom(0, 0, 10_000, 7_200_000),
  /** Whose configuration is changed while the rollout runs. */
  configured: fc.array(fc.nat({ max: 9 }), { maxLength: 3 }),
});
export const faultyCluster = fc.record({
  random: fc.record({
    controlPlanes: fc
      .array(fc.record({ state, trouble }), { minLength: 1, maxLength: 5 })
      .filter((list) => list.length !== 2),
    workers: fc.array(fc.record({ state, trouble }), { maxLength: 5 }),
    leftoverSessions,
    maxUnavailable: fc.constantFrom(1, 2, "50%"),
  }),
  faults,
});
export type FaultyCluster = typeof faultyCluster extends fc.Arbitrary<infer T> ? T : never;

/** Whatever goes wrong, what must never happen does not, and once nothing is wrong any more the next runs finish. */
export async function expectSafeRollout({ random, faults: given }: FaultyCluster): Promise<void> {
  const fleet = fleetOf(random);
  fleet.failures = [];
  fleet.strike(given);
  const foreign = fleet.machines.filter(
    (_, index) => [...random.controlPlanes, ...random.workers][index]?.state === "cordoned by somebody",
  );
  // A cordon that was found may stay where the node could not even be read.
  const before = fleet.machines.filter(({ name }) => fleet.kubernetes.get(name).unschedulable);
  const { inOrder, preflightMs } = given;
  const controlPlanes = fleet.machines
    .filter(({ role }) => role === "controlplane")
    .map(({ address }) => address);
  const configured = given.configured.flatMap((index) => fleet.machines[index % fleet.machines.length] ?? []);
  await Promise.all([
    deploy(fleet, random.maxUnavailable, { inOrder, preflightMs }),
    ...configured.map((machine) => configure(fleet, machine, controlPlanes)),
  ]);
  expect(fleet.violations).toEqual([]);
  expectNoCordonLeft(fleet, before);

  fleet.heal();
  for (const { name } of fleet.machines) fleet.setTrouble(name, undefined);
  await deploy(fleet, random.maxUnavailable, { inOrder });
  // A run may have ended on an error of its own; nothing is wrong by now.
  expect(await deploy(fleet, random.maxUnavailable)).toEqual([]);
  expect(fleet.violations).toEqual([]);
  for (const { name, runs } of fleet.machines) expect([name, runs]).toEqual([name, wanted]);
  const cordoned = [...fleet.kubernetes.cluster.values()].filter(({ unschedulable }) => unschedulable);
  expect(cordoned.map(({ name }) => name).sort()).toEqual(foreign.map(({ name }) => name).sort());
}

/** No cordon of ours is left on a node that was not disturbed, unless Kubernetes itself refused to take it back. */
function expectNoCordonLeft(fleet: FakeFleet, before: readonly Machine[]): void {
  if (fleet.struck("patchNode") || fleet.struck("nodes")) return;
  for (const machine of fleet.machines.filter((one) => fleet.tried.has(one.name) && !before.includes(one))) {
    const { unschedulable } = fleet.kubernetes.get(machine.name);
    if (machine.boots === 0 && !machine.askedToReboot)
      expect([machine.name, unschedulable]).toEqual([machine.name, false]);
  }
}

/**
 * How the properties run: a failure prints its seed and path, which these variables take to replay it.
 * @param title of the test in rolloutStates.test.ts that replays it
 * @param usual the seed where none is given, for a test that is to do the same every time
 */
export function runs(numRuns: number, title: string, usual?: number): fc.Parameters<unknown> {
  const { ROLLOUT_SEED: seed = usual, ROLLOUT_PATH: path } = process.env;
  return {
    numRuns,
    ...(seed === undefined ? {} : { seed: Number(seed) }),
    ...(path === undefined ? {} : { path, endOnFailure: true }),
    reporter: (details) => {
      if (!details.failed) return;
      throw new Error(
        `${fc.defaultReportMessage(details)}\n\nReplay: ROLLOUT_SEED=${details.seed} ROLLOUT_PATH=${details.counterexamplePath ?? ""} npx vitest run test/unit/provider/rolloutStates.test.ts -t "${title}"`,
      );
    },
  };
}
