import { coded } from "../talos/errorCodes.ts";
import { TalosError } from "../talos/api/errors.ts";
import type { TalosReader } from "../talos/api/talosClient.ts";
import type { TalosCredentials } from "../talos/api/credentials.ts";
import type { TalosConnection } from "../talos/api/transport.ts";
import { reach, type Endpoints } from "../talos/endpoint.ts";
import { findMissingHardware } from "../talos/hardware/missingHardware.ts";
import { withoutInstallation, type NamedHardware } from "../talos/hardware/named.ts";
import { withDefaults } from "../talos/inputs/defaults.ts";
import { readinessSchema, type HardwareInput } from "../talos/inputs/rolloutReadiness.ts";
import type { Hardware } from "../talos/hardware/reported.ts";
import type { CheckFailure } from "./check.ts";
import { Connections } from "./connections.ts";
import { nodeLabel } from "./inputs.ts";
import { nodesByName } from "../talos/nodesByName.ts";
import { hasUnknown, type Properties } from "./secrets.ts";
import type { Surroundings } from "./session.ts";

export type HardwareCall = { surroundings: Surroundings; urn: string; signal: AbortSignal };

/**
 * Compares the hardware that configurations name with what the machines report, up to 100 nodes at a time. A machine waiting for its first configuration would
 * try to install to a missing disk and not come back, so the default there is to refuse. A running node has proved that it works.
 * @param before the previous inputs: only what is new is checked
 * @returns what blocks the deployment; the rest is logged as warnings
 */
export async function checkHardware(
  looking: HardwareCall,
  before: Properties,
  inputs: Properties,
): Promise<CheckFailure[]> {
  const wanted = hardwareInput(inputs);
  if (wanted === undefined || hasUnknown(inputs["nodes"])) return [];
  const due = dueNodes(before, inputs, wanted);
  if (due.length === 0) return [];
  const found: NodeMisfits[] = [];
  for (let from = 0; from < due.length; from += maxConcurrentReads)
    found.push(...(await findMisfits(looking, inputs, wanted, due.slice(from, from + maxConcurrentReads))));
  return reportMisfits(looking, found);
}

/** How many nodes are read concurrently: 500 connections took 900 MB, and an unreachable machine takes a while to time out. */
const maxConcurrentReads = 100;

async function findMisfits(
  looking: HardwareCall,
  inputs: Properties,
  wanted: HardwareInput,
  due: readonly DueNode[],
): Promise<NodeMisfits[]> {
  const dial = await looking.surroundings.talos();
  const { clientConfiguration, endpoints } = inputs;
  const isKnown = !hasUnknown(clientConfiguration);
  const connected = (credentials: TalosConnection["credentials"]): Connections =>
    new Connections(dial, credentials, (address) => reach(address, endpoints as Endpoints | undefined));
  const known = isKnown ? connected(clientConfiguration as TalosCredentials) : undefined;
  // A machine without a configuration has no client CA: it is read unauthenticated. Nothing is sent to it.
  const asAnyone = connected("maintenance");
  try {
    const found = await Promise.all(
      due.map(async ({ name, node }) => {
        const seen = await readMachine(looking, known?.to(node), () => asAnyone.to(node));
        const misfits = seen === undefined ? [] : missingFor(wanted.named[name] ?? [], seen);
        const refused = (wanted.check ?? (seen?.isNew === true ? "refuse" : "warn")) === "refuse";
        return misfits.length === 0 ? [] : [{ label: nodeLabel({ name, node }), misfits, refused }];
      }),
    );
    return found.flat();
  } finally {
    known?.close();
    asAnyone.close();
  }
}

const hardwareSchema = readinessSchema.pick({ hardware: true });

function hardwareInput(inputs: Properties): HardwareInput | undefined {
  return hasUnknown(inputs["hardware"]) ? undefined : withDefaults(hardwareSchema, inputs).hardware;
}

interface DueNode {
  readonly name: string;
  readonly node: string;
}

/** New nodes, and nodes whose configuration names different hardware. Nodes in a state without this information count as running. */
function dueNodes(before: Properties, inputs: Properties, { check, named }: HardwareInput): DueNode[] {
  const last = hardwareInput(before);
  const known = new Map(nodesByName(before["nodes"]).map(([name, { node }]) => [name, node]));
  return nodesByName(inputs["nodes"]).flatMap(([name, { node }]): DueNode[] => {
    if (typeof node !== "string" || named[name] === undefined) return [];
    const isSame =
      known.get(name) === node &&
      (last === undefined ||
        (last.check === check && JSON.stringify(last.named[name]) === JSON.stringify(named[name])));
    return isSame ? [] : [{ name, node }];
  });
}

/** A machine that answers. */
interface SeenMachine {
  readonly hardware: Hardware;
  /** It waits for its first configuration. */
  readonly isNew: boolean;
}

/** A running node's disk to install to is still compared: a reinstallation needs it. */
function missingFor(named: readonly NamedHardware[], { hardware, isNew }: SeenMachine): string[] {
  const isInstalled = hardware.disks.some(({ isSystemDisk }) => isSystemDisk === true);
  return findMissingHardware(isNew && isInstalled ? withoutInstallation(named) : named, hardware, !isNew);
}

/** What a machine reports; undefined if it doesn't answer. */
async function readMachine(
  { surroundings, signal }: HardwareCall,
  known: TalosReader | undefined,
  anyone: () => TalosReader,
): Promise<SeenMachine | undefined> {
  const limits = { deadlineMs: surroundings.timeouts.probeMs, signal };
  try {
    if (known !== undefined) return { hardware: await known.hardware(limits), isNew: false };
  } catch (error) {
    if (!isUnanswered(error)) throw error;
    if (!(await known?.inMaintenance())) return undefined;
  }
  try {
    return { hardware: await anyone().hardware(limits), isNew: true };
  } catch (error) {
    if (!isUnanswered(error)) throw error;
    return undefined;
  }
}

function isUnanswered(error: unknown): boolean {
  return error instanceof TalosError && error.kind !== "cancelled";
}

interface NodeMisfits {
  readonly label: string;
  readonly misfits: readonly string[];
  readonly refused: boolean;
}

function reportMisfits({ surroundings, urn }: HardwareCall, found: readonly NodeMisfits[]): CheckFailure[] {
  const sink = surroundings.statusOf(urn);
  for (const one of found.filter(({ refused }) => !refused))
    sink.warn(
      `${coded("hardware-missing", `${one.label}: the machine lacks hardware that its configuration names`)}:\n${describeMisfits(one)}`,
    );
  const refused = found.filter((one) => one.refused);
  if (refused.length === 0) return [];
  // Without a link or its own disks Talos may never be reachable; without an extra volume it runs.
  const isAtRisk = refused.some(({ misfits }) => misfits.some((line) => !extraVolume.test(line)));
  const consequence = isAtRisk ? ", and may not come back with them" : "";
  const reason =
    `${coded("hardware-missing", `machines lack hardware that their configurations name${consequence}`)}:\n` +
    `${refused.map((one) => `${one.label}:\n${describeMisfits(one)}`).join("\n")}\n` +
    "Correct the settings. If the installed image names links or disks differently (net.ifnames=0, another driver), set cluster.checkHardware: warn.";
  return [{ property: "", reason }];
}

/** A volume besides Talos's own. */
const extraVolume = /^(User|Raw|Swap|Existing)VolumeConfig\b/;

function describeMisfits({ misfits }: NodeMisfits): string {
  return misfits.map((line) => `  ${line}`).join("\n");
}
