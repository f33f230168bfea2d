import fc from "fast-check";
import { expect } from "vitest";
import { DeploymentChanges } from "../../../provider/deploymentChanges.ts";
import { EngineGone } from "../../../provider/errors.ts";
import { preflight } from "../../../provider/preflight.ts";
import { laneCount, planUpgradeLanes } from "../../../talos/lanes.ts";
import { releasesBefore } from "../../../talos/releases.ts";
import { FakeFleet, type Machine, type MachineTrouble } from "./fakeFleet.ts";
import { surroundingsOf } from "./randomRollouts.ts";

/**
 * Random clusters whose nodes are at random releases go through the hops of the preflight, which is killed at random moments until it is done. The fleet records
 * violations: two control planes down, a volume still attached, nodes more than one minor release apart.
 */

const target = "v1.13.9";
const schematic = "a".repeat(64);
const way = releasesBefore(target).filter((release) => Number(release.split(".")[1]) >= 9);
const imageOf = (release: string): string => `factory.talos.dev/metal-installer/${schematic}:${release}`;

const machine = fc.record({
  release: fc.constantFrom("v1.9.3", "v1.9.6", "v1.10.5", "v1.10.9", "v1.11.6", "v1.12.11", target),
  /** Whether it already runs the wanted schematic. */
  ours: fc.boolean(),
});

export const scattered = fc.record({
  controlPlanes: fc.array(machine, { minLength: 1, maxLength: 3 }).filter((list) => list.length !== 2),
  workers: fc.array(machine, { maxLength: 4 }),
  maxUnavailable: fc.constantFrom(1, 2, "50%"),
  /** After how many events each run is killed. The last run is not killed. */
  kills: fc.array(fc.integer({ min: 1, max: 30 }), { maxLength: 6 }),
  /** What is wrong with one node in the first run. */
  trouble: fc.option(
    fc.record({
      of: fc.nat({ max: 6 }),
      what: fc.constantFrom<MachineTrouble[]>("pull fails", "installer fails", "falls back", "budget blocks"),
    }),
    { nil: undefined, freq: 3 },
  ),
});
export type Scattered = typeof scattered extends fc.Arbitrary<infer T> ? T : never;

function fleetOf({ controlPlanes, workers }: Scattered): FakeFleet {
  const made = (role: Machine["role"], list: Scattered["workers"]): Machine[] =>
    list.map(({ release, ours }, index) => ({
      name: `${role === "controlplane" ? "cp" : "w"}${index + 1}`,
      role,
      address: `10.0.${role === "controlplane" ? 0 : 1}.${index + 1}`,
      runs: { version: release, schematic: ours || release === target ? schematic : "b".repeat(64) },
      boot: 0,
      away: 0,
      installs: 0,
      boots: 0,
    }));
  const fleet = new FakeFleet([...made("controlplane", controlPlanes), ...made("worker", workers)]);
  // A release that every Talos hop supports.
  fleet.kubernetes.gitVersion = "v1.32.4";
  return fleet;
}

function inputsOf(fleet: FakeFleet, maxUnavailable: number | string): Record<string, unknown> {
  const parts = { extensions: ["siderolabs/iscsi-tools"], services: ["ext-iscsid"], files: [] };
  const at = (release: string) => ({ talosVersion: release, image: imageOf(release), ...parts });
  return {
    nodes: Object.fromEntries(
      fleet.machines.map(({ name, address, role }) => [name, { node: address, role, ...at(target) }]),
    ),
    hops: {
      ways: { default: way.map(at) },
      nodes: Object.fromEntries(
        planUpgradeLanes(fleet.machines, maxUnavailable).map(({ node, after }) => [
          node.name,
          { way: "default", after },
        ]),
      ),
    },
    schematicId: schematic,
    controlPlanes: fleet.machines.filter(({ role }) => role === "controlplane").map(({ address }) => address),
    clientConfiguration: {},
    kubeconfig: "in memory",
    drain: { timeoutSeconds: 5 },
  };
}

/** One run of the preflight, killed after this many events. @returns whether it finished */
async function run(fleet: FakeFleet, inputs: Record<string, unknown>, killAfter: number): Promise<boolean> {
  const stop = new AbortController();
  let events = 0;
  const happened = fleet.happened.bind(fleet);
  fleet.happened = (what, name) => {
    events += 1;
    if (events === killAfter) stop.abort(new EngineGone());
    happened(what, name);
  };
  try {
    await preflight(surroundingsOf(fleet), "urn", inputs, stop.signal, new DeploymentChanges());
    return true;
  } catch (error) {
    expect(error).toBeInstanceOf(Error);
    fleet.failures?.push(error as Error);
    return false;
  } finally {
    fleet.happened = happened;
  }
}

/** No matter what is killed or fails, every node ends one step from its release, after each minor release once. */
export async function expectSafeHops(random: Scattered): Promise<void> {
  const fleet = fleetOf(random);
  fleet.failures = [];
  const before = new Map(fleet.machines.map(({ name, runs }) => [name, runs.version]));
  const inputs = inputsOf(fleet, random.maxUnavailable);
  const troubled = fleet.machines[(random.trouble?.of ?? 0) % fleet.machines.length];
  if (random.trouble !== undefined && troubled !== undefined)
    fleet.setTrouble(troubled.name, random.trouble.what);
  for (const kill of random.kills) await run(fleet, inputs, kill);
  await run(fleet, inputs, Infinity);
  expect(fleet.violations).toEqual([]);

  if (troubled !== undefined) fleet.setTrouble(troubled.name, undefined);
  const isOver = await run(fleet, inputs, Infinity);
  expect([isOver, isOver ? undefined : fleet.failures.at(-1)?.message]).toEqual([true, undefined]);
  expect(fleet.violations).toEqual([]);
  for (const { name, role, runs, boots, trouble } of fleet.machines) {
    const from = before.get(name) ?? "";
    const minor = Number(from.split(".")[1]);
    const early = role === "controlplane" && from === "v1.10.5";
    const hops = way.filter((release) => Number(release.split(".")[1]) > minor);
    expect([name, from, runs.version]).toEqual([name, from, hops.at(-1) ?? from]);
    const isStruck =
      name === troubled?.name && random.trouble?.what === "falls back" && trouble === undefined;
    if (!isStruck) expect([name, from, boots]).toEqual([name, from, hops.length + Number(early)]);
  }
  expect(fleet.mostDown.controlplane).toBeLessThanOrEqual(1);
  expect(fleet.mostDown.worker).toBeLessThanOrEqual(laneCount(random.workers.length, random.maxUnavailable));
  const cordoned = [...fleet.kubernetes.cluster.values()].filter(({ unschedulable }) => unschedulable);
  expect(cordoned.map(({ name }) => name)).toEqual([]);
}
