import fc from "fast-check";
import { expect } from "vitest";
import type { Clock } from "../../../provider/clock.ts";
import { defaultTimeouts } from "../../../provider/timeouts.ts";
import { SealedClients } from "../../../provider/gate/sealedClients.ts";
import { cordonAnnotation, installAnnotation } from "../../../provider/kubernetes.ts";
import { UpgradeError } from "../../../provider/errors.ts";
import { nodeUpgradeInputs } from "../../../provider/inputs.ts";
import { Session, type Surroundings } from "../../../provider/session.ts";
import { upgradeNode } from "../../../provider/upgrade.ts";
import type { Member } from "../../../talos/members.ts";
import { membersByName } from "../../../provider/membership/members.ts";
import { changeMembership, MembershipError } from "../../../provider/membership/membership.ts";
import { laneCount, planUpgradeLanes } from "../../../talos/lanes.ts";
import { bootIdOf, FakeFleet, type Image, type Machine, type MachineTrouble } from "./fakeFleet.ts";

/**
 * Random clusters in random states, as left by earlier runs and other people, go through the real steps of an upgrade: in lane order, first with
 * failing nodes, then once more without.
 */

export const wanted = { version: "v1.13.9", schematic: "a".repeat(64) };
export const image = `factory.talos.dev/metal-installer/${wanted.schematic}:${wanted.version}`;

/** The state of a node at the start. */
const state = fc.constantFrom(
  "on the older API",
  "on the newer API",
  "with another schematic",
  "with the vanilla image",
  "settled",
  "settled, cordoned by us",
  "cordoned by us",
  "cordoned by somebody",
  "installed, not rebooted",
);
const trouble = fc.constantFrom<(MachineTrouble | undefined)[]>(
  ...Array.from({ length: 30 }, () => undefined),
  "pull fails",
  "installer fails",
  "falls back",
  "budget blocks",
  "never detaches",
  "keeps in use",
  "leaks a session",
  "attaches late",
);
const leftoverSessions = fc.constantFrom<("warn" | "refuse")[]>("warn", "refuse");
// Two control planes cannot lose one. The guard refuses that, which has its own tests.
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
          : found === "with the vanilla image"
            ? { ...wanted, schematic: undefined }
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
      node.annotations[cordonAnnotation] = "talos-node";
    if (found === "installed, not rebooted")
      node.annotations[installAnnotation] = `done ${bootIdOf(name, 0)} ${image}`;
    if (!found.startsWith("settled")) fleet.setTrouble(name, wrong);
  }
  return fleet;
}

/** Time advances with each wait, and everything else that can run does so meanwhile. */
function impatientClock(): Clock {
  let now = 0;
  return {
    now: () => now,
    sleep: async (ms, signal) => {
      await new Promise((resolve) => setImmediate(resolve));
      // A wait that was aborted takes no time.
      if (!signal.aborted) now += ms;
    },
  };
}

/** One deployment, as the engine runs it: a node starts when all its dependencies have succeeded. @returns the failed nodes */
async function deploy(
  fleet: FakeFleet,
  maxUnavailable: number | string,
  { inOrder = true, preflightMs = 0, removals }: Deployment = {},
): Promise<string[]> {
  const failed: string[] = [];
  const done = new Map<string, Promise<boolean>>();
  const staying = removals?.staying ?? fleet.machines;
  const controlPlanes = controlPlanesOf(staying);
  const removed: Promise<boolean> =
    removals === undefined ? Promise.resolve(true) : removals.run().then((ok) => ok || !inOrder);
  if (inOrder) await removed;
  for (const { node, after } of planUpgradeLanes(staying, maxUnavailable)) {
    const before: Promise<boolean>[] = inOrder
      ? [removed, ...after.map((name) => done.get(name) ?? Promise.resolve(true))]
      : [];
    done.set(
      node.name,
      Promise.all(before).then(async (results) => {
        if (results.includes(false)) return false;
        const ok = await upgrade(fleet, node, controlPlanes, preflightMs);
        if (!ok) failed.push(node.name);
        return ok;
      }),
    );
  }
  await Promise.all([removed, ...done.values()]);
  return failed;
}

/** Options of a deployment. */
interface Deployment {
  /** False: nodes do not wait for each other. */
  inOrder?: boolean;
  preflightMs?: number;
  removals?: Removals;
}

function controlPlanesOf(machines: readonly Machine[]): string[] {
  return machines.filter(({ role }) => role === "controlplane").map(({ address }) => address);
}

/** Nodes that are removed from the settings, and what the state still knows of them. */
class Removals {
  readonly staying: Machine[];
  readonly #fleet: FakeFleet;
  readonly #leaving: ReadonlyMap<Machine, "reset" | "keep">;
  #members: Member[];

  constructor(fleet: FakeFleet, leaving: ReadonlyMap<Machine, "reset" | "keep">) {
    this.#fleet = fleet;
    this.#leaving = leaving;
    this.staying = fleet.machines.filter((machine) => !leaving.has(machine));
    for (const [{ name }, way] of leaving) if (way === "reset") fleet.leaving.add(name);
    this.#members = fleet.machines.map((machine) => this.#member(machine));
  }

  get reset(): Machine[] {
    return [...this.#leaving].flatMap(([machine, way]) => (way === "reset" ? [machine] : []));
  }

  get kept(): Machine[] {
    return [...this.#leaving].flatMap(([machine, way]) => (way === "keep" ? [machine] : []));
  }

  /** @returns whether all of them are removed */
  async run(): Promise<boolean> {
    if (this.#leaving.size === 0) return true;
    const state = { nodes: membersByName(this.#members) };
    const news = {
      nodes: membersByName(this.staying.map((machine) => this.#member(machine))),
      clientConfiguration: {},
      kubeconfig: "in memory",
      drain: { timeoutSeconds: 5, leftoverSessions: this.#fleet.leftoverSessions },
      timeoutSeconds: 1_800,
    };
    for (const { name } of this.reset) this.#fleet.tried.add(name);
    try {
      const signal = new AbortController().signal;
      this.#members = await changeMembership(surroundingsOf(this.#fleet), "urn", state, news, signal);
      return true;
    } catch (error) {
      // After any error, the state still lists the nodes that remain to be removed.
      expect(error).toBeInstanceOf(MembershipError);
      this.#members = (error as MembershipError).members;
      const known = this.#members.map(({ name }) => name);
      expect(known).toEqual(expect.arrayContaining(this.staying.map(({ name }) => name)));
      expect(known.length).toBeGreaterThan(this.staying.length);
      return false;
    }
  }

  #member(machine: Machine): Member {
    const { name, address: node, role } = machine;
    return { name, node, role, onRemove: this.#leaving.get(machine) ?? "keep" };
  }
}

async function upgrade(
  fleet: FakeFleet,
  { name, address, role }: Machine,
  controlPlanes: string[],
  preflightMs: number,
): Promise<boolean> {
  fleet.tried.add(name);
  const session = await openSession(fleet, { name, address, role }, controlPlanes);
  // Waiting for others must not use up this node's time.
  await session.context.clock.sleep(preflightMs, session.context.signal);
  const outcome = await upgradeNode(session.context);
  // Every failure must give an outcome for the state and an error for the user.
  if (!outcome.ok) {
    expect(outcome.error).toBeInstanceOf(UpgradeError);
    if (fleet.failures !== undefined) fleet.failures.push(outcome.error);
  }
  return outcome.ok;
}

/** Changes a node's configuration at any moment of the rollout. It is applied or refused, and the fleet records violations. */
async function configure(fleet: FakeFleet, machine: Machine, controlPlanes: string[]): Promise<void> {
  const { context } = await openSession(fleet, machine, controlPlanes);
  try {
    const request = { data: "machine: {}", mode: "NO_REBOOT", disturbs: true, changes: true } as const;
    await context.gate.applyConfiguration(request, { deadlineMs: 10_000 });
  } catch (error) {
    expect(error).toBeInstanceOf(Error);
  }
}

/** The connections of one operation on one node. */
export async function openSession(
  fleet: FakeFleet,
  { name, address, role }: Pick<Machine, "name" | "address" | "role">,
  controlPlanes: string[],
  more: Record<string, unknown> = {},
  clock?: Clock,
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
    ...more,
  });
  return Session.open(surroundingsOf(fleet, clock), "urn", inputs, new AbortController().signal);
}

export function surroundingsOf(fleet: FakeFleet, clock = impatientClock()): Surroundings {
  const ignore = (): void => undefined;
  const talos = async () => (connection: { endpoint: string }) => fleet.client(connection.endpoint);
  return {
    talos,
    connectKubernetes: async () => fleet.kubernetes,
    acting: new SealedClients({ talos, kubernetes: async () => fleet.kubernetes }),
    clock,
    timeouts: defaultTimeouts,
    advised: new Set(),
    statusOf: () => ({ status: ignore, info: ignore, warn: ignore }),
  };
}

/** Without outside faults, everything is upgraded once, in order, and the second run finishes what the first could not. */
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
    // A failed control plane stops later control planes and every worker.
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
    // An image that an earlier run installed only needs a boot, unless that boot falls back.
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
  /** A control plane fails for good when this happens to another one. */
  peer: fc.option(
    fc.record({
      when: fc.constantFrom("pull", "install", "cordon", "evict", "uncordon", "reset"),
      of: fc.nat({ max: 8 }),
      fails: fc.nat({ max: 8 }),
    }),
    { nil: undefined, freq: 2 },
  ),
  /** How many reads after a boot lack the schematic. */
  late: fc.nat({ max: 4 }),
  /** The nth call of a method at one machine, or at Kubernetes (-1), fails. */
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
        ...["attachments", "list", "reset", "deleteNode"],
      ),
      nth: fc.integer({ min: 1, max: 6 }),
      kind: fc.constantFrom("unexpected", "unreachable", "timeout", "denied", "failed", "locked", "notFound"),
    }),
    { nil: undefined, freq: 3 },
  ),
  /** False: nodes do not wait for each other, as with `--target` and unlimited parallelism. */
  inOrder: fc.boolean(),
  /** Duration of the preflight, while connections are already open. One value exceeds the half-hour limit of a step. */
  preflightMs: fc.constantFrom(0, 0, 10_000, 7_200_000),
  /** Nodes whose configuration changes during the rollout. */
  configured: fc.array(fc.nat({ max: 9 }), { maxLength: 3 }),
  /** Nodes that are removed from the settings. */
  leaving: fc.array(fc.record({ who: fc.nat({ max: 9 }), way: fc.constantFrom("reset", "keep") }), {
    maxLength: 2,
  }),
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

/** The invariants hold no matter what fails, and later runs finish once nothing fails any more. */
export async function expectSafeRollout({ random, faults: given }: FaultyCluster): Promise<void> {
  const fleet = fleetOf(random);
  fleet.failures = [];
  fleet.strike(given);
  const removals = new Removals(fleet, whoLeaves(fleet, given.leaving));
  const { staying } = removals;
  const foreign = fleet.machines.filter(
    (_, index) => [...random.controlPlanes, ...random.workers][index]?.state === "cordoned by somebody",
  );
  // A cordon from before may stay if the node could not even be read.
  const before = fleet.machines.filter(({ name }) => fleet.kubernetes.get(name).unschedulable);
  const { inOrder, preflightMs } = given;
  const configured = given.configured.flatMap((index) => staying[index % staying.length] ?? []);
  await Promise.all([
    deploy(fleet, random.maxUnavailable, { inOrder, preflightMs, removals }),
    ...configured.map((machine) => configure(fleet, machine, controlPlanesOf(staying))),
  ]);
  expect(fleet.violations).toEqual([]);
  expectNoCordonLeft(fleet, before);

  fleet.heal();
  for (const { name } of fleet.machines) fleet.setTrouble(name, undefined);
  for (const { name, installs, boots, wiped } of removals.kept)
    expect([name, installs, boots, wiped]).toEqual([name, 0, 0, undefined]);
  for (const machine of removals.kept) fleet.takenOut(machine);
  await deploy(fleet, random.maxUnavailable, { inOrder, removals });
  // The run before may have failed. By now nothing is wrong, so this one must succeed.
  const failed = await deploy(fleet, random.maxUnavailable, { removals });
  expect(fleet.violations).toEqual([]);
  for (const { name, installs, boots, wiped } of removals.reset)
    expect([name, installs, boots, wiped]).toEqual([name, 0, 0, true]);
  for (const machine of fleet.machines.filter((one) => !staying.includes(one)))
    expect([machine.name, fleet.kubernetes.cluster.has(machine.name)]).toEqual([machine.name, false]);
  // Two control planes cannot lose one, not even for a reboot. A third one has to join first.
  if (controlPlanesOf(staying).length === 2 && failed.length > 0) return expectNoCordonLeft(fleet, before);
  expect(failed).toEqual([]);
  for (const { name, runs } of staying) expect([name, runs]).toEqual([name, wanted]);
  const cordoned = [...fleet.kubernetes.cluster.values()].filter(({ unschedulable }) => unschedulable);
  const foreignStaying = foreign.filter((machine) => staying.includes(machine));
  expect(cordoned.map(({ name }) => name).sort()).toEqual(foreignStaying.map(({ name }) => name).sort());
}

/** Leaves out removals of the last or a second control plane. Both are refused without reading the cluster, and have their own tests. */
function whoLeaves(
  fleet: FakeFleet,
  given: readonly { who: number; way: "reset" | "keep" }[],
): Map<Machine, "reset" | "keep"> {
  const leaving = new Map<Machine, "reset" | "keep">();
  for (const { who, way } of given) {
    const machine = fleet.machines[who % fleet.machines.length];
    if (machine === undefined || leaving.has(machine)) continue;
    const controlPlanes = [...leaving.keys()].filter(({ role }) => role === "controlplane").length;
    if (machine.role === "controlplane" && (controlPlanes > 0 || fleet.members.length === 1)) continue;
    leaving.set(machine, way);
  }
  return leaving;
}

/** An undisturbed node has no cordon of ours, unless Kubernetes itself refused to remove it. */
function expectNoCordonLeft(fleet: FakeFleet, before: readonly Machine[]): void {
  if (fleet.struck("patchNode") || fleet.struck("nodes")) return;
  for (const machine of fleet.machines.filter((one) => fleet.tried.has(one.name) && !before.includes(one))) {
    const unschedulable = fleet.kubernetes.cluster.get(machine.name)?.unschedulable ?? false;
    if (machine.boots === 0 && !machine.askedToReboot && machine.wiped !== true)
      expect([machine.name, unschedulable]).toEqual([machine.name, false]);
  }
}

/**
 * Options for the property runs. A failure prints its seed and path, which these variables replay.
 * @param title of the test in rolloutStates.test.ts that replays it
 * @param usual the default seed, for a test that must be deterministic
 */
export function propertyRuns(numRuns: number, title: string, usual?: number): fc.Parameters<unknown> {
  const { ROLLOUT_SEED: seed = usual, ROLLOUT_PATH: path } = process.env;
  return {
    numRuns,
    ...(seed === undefined ? {} : { seed: Number(seed) }),
    ...(path === undefined ? {} : { path, endOnFailure: true }),
    reporter: (details) => {
      if (!details.failed) return;
      const { errorInstance: seen } = details;
      throw new Error(
        `${fc.defaultReportMessage(details)}\n\n${seen instanceof Error ? seen.message : String(seen)}\n\nReplay: ROLLOUT_SEED=${details.seed} ROLLOUT_PATH=${details.counterexamplePath ?? ""} npx vitest run test/unit/provider/rolloutStates.test.ts -t "${title}"`,
      );
    },
  };
}
