import type { NodeUpgradeInputs } from "../talos/inputs/nodeUpgrade.ts";
import type {
  CallOptions,
  InstalledExtension,
  MachineStatus,
  RunningService,
  TalosReader,
} from "../talos/api/talosClient.ts";
import { canonicalExtension } from "../talos/extensions.ts";
import { hasSchematicExtension } from "../talos/features.ts";
import { compareVersions, parseVersion, VersionError } from "../talos/version.ts";

/** A node's state at one moment. */
export interface NodeFacts {
  version: string;
  schematicId: string | undefined;
  extensions: InstalledExtension[];
  services: RunningService[];
  machine: MachineStatus;
  bootId: string | undefined;
  kubernetesNode: string | undefined;
  /** iSCSI qualified name; undefined without iscsi-tools. */
  initiatorName: string | undefined;
  /** The wanted files that exist. */
  files: string[];
}

/** What the stack's state stores about a node: what it runs, not its current health. */
export type StableFacts = Omit<NodeFacts, "machine" | "bootId">;

// /etc/iscsi since iscsi-tools v0.2.0 (Talos 1.10, siderolabs/extensions 4a2e536); before, the extension kept its files in its own root, bind-mounted at
// /system/iscsi.
const initiatorFile = "/etc/iscsi/initiatorname.iscsi";
const formerInitiatorFiles = [
  "/system/iscsi/initiatorname.iscsi",
  "/usr/local/etc/iscsi/initiatorname.iscsi",
];

/** Reads everything concurrently over one connection. */
export async function readFacts(
  talos: TalosReader,
  wanted: Pick<NodeUpgradeInputs, "files">,
  call: CallOptions,
): Promise<NodeFacts> {
  const [settled, machine, bootId] = await Promise.all([
    readStableFacts(talos, wanted, call),
    talos.machineStatus(call),
    talos.bootId(call),
  ]);
  return { ...settled, machine, bootId };
}

/** The subset that a refresh needs. */
export async function readStableFacts(
  talos: TalosReader,
  wanted: Pick<NodeUpgradeInputs, "files">,
  call: CallOptions,
): Promise<StableFacts> {
  const [version, extensions, services, kubernetesNode, initiatorName, files] = await Promise.all([
    talos.version(call),
    talos.extensions(call),
    talos.services(call),
    talos.kubernetesNode(call),
    readInitiatorName(talos, call),
    existingFiles(talos, wanted.files, call),
  ]);
  return {
    version: version.tag,
    schematicId: extensions.schematicId,
    extensions: extensions.installed,
    services,
    kubernetesNode,
    initiatorName,
    files,
  };
}

async function existingFiles(talos: TalosReader, paths: string[], call: CallOptions): Promise<string[]> {
  const present = await Promise.all(paths.map((path) => talos.hasFile(path, call)));
  return paths.filter((_, i) => present[i]);
}

async function readInitiatorName(talos: TalosReader, call: CallOptions): Promise<string | undefined> {
  const current = parseInitiatorName(await talos.readText(initiatorFile, call));
  if (current !== undefined) return current;
  const texts = await Promise.all(formerInitiatorFiles.map((path) => talos.readText(path, call)));
  return texts.map(parseInitiatorName).find((name) => name !== undefined);
}

function parseInitiatorName(text: string | undefined): string | undefined {
  return /^\s*InitiatorName\s*=\s*(\S+)/m.exec(text ?? "")?.[1];
}

type RunningImage = Pick<NodeFacts, "version" | "schematicId" | "extensions">;
type WantedImage = Pick<NodeUpgradeInputs, "talosVersion" | "schematicId" | "extensions">;

/** Whether the node runs the wanted image. If so, it is never rebooted. */
export function runsWantedImage(facts: RunningImage, wanted: WantedImage): boolean {
  return facts.version === wanted.talosVersion && runsWantedSchematic(facts, wanted);
}

/** Before Talos 1.7 a node doesn't report its schematic; the extensions are compared instead. */
export function runsWantedSchematic(facts: RunningImage, wanted: WantedImage): boolean {
  if (facts.schematicId !== undefined) return facts.schematicId === wanted.schematicId;
  return !reportsSchematic(facts.version) && missingExtensions(facts, wanted).length === 0;
}

function reportsSchematic(version: string): boolean {
  try {
    parseVersion(version);
  } catch (error) {
    // A custom build whose tag is not a release; those are newer than 1.7.
    if (error instanceof VersionError) return true;
    throw error;
  }
  return hasSchematicExtension(version);
}

export function missingExtensions(
  facts: Pick<NodeFacts, "extensions">,
  wanted: Pick<NodeUpgradeInputs, "extensions">,
): string[] {
  const installed = new Set(facts.extensions.map(({ name }) => canonicalExtension(name)));
  return wanted.extensions.filter((extension) => !installed.has(canonicalExtension(extension)));
}

/** Services that are not working, with their state. */
export function failingServices(facts: NodeFacts, wanted: Pick<NodeUpgradeInputs, "services">): string[] {
  return wanted.services.filter(
    (id) => !isServiceRunning(facts.services.find((service) => service.id === id)),
  );
}

// Extension services have no health check: running is all that can be known.
export function isServiceRunning(service: RunningService | undefined): boolean {
  return service?.state === "Running" && service.health !== "unhealthy";
}

export function describeService(id: string, facts: NodeFacts): string {
  const service = facts.services.find((candidate) => candidate.id === id);
  if (service === undefined) return `${id} (not there)`;
  const health = service.health === "unhealthy" ? ", unhealthy" : "";
  return `${id} (${service.state}${health}${service.lastEvent === "" ? "" : `: ${service.lastEvent}`})`;
}

/** The verb for a version change: only a newer release is an upgrade. */
export function versionChangeVerb(from: string, to: string): "upgraded" | "rolled back" | "changed" {
  try {
    return ({ [-1]: "upgraded", 0: "changed", 1: "rolled back" } as const)[compareVersions(from, to)];
  } catch (error) {
    if (error instanceof VersionError) return "changed"; // a custom build: its tag has no order
    throw error;
  }
}

/** `running, not ready: services (etcd not healthy)` */
export function describeMachine(machine: MachineStatus): string {
  if (machine.ready) return `${machine.stage}, ready`;
  const unmet = machine.unmet
    .map(({ name, reason }) => (reason === "" ? name : `${name} (${reason})`))
    .join(", ");
  return `${machine.stage}, not ready${unmet === "" ? "" : `: ${unmet}`}`;
}

/** Whether these services are the only reason the machine is not ready. */
export function lacksOnlyServices(machine: MachineStatus, services: readonly string[]): boolean {
  // The list as Talos writes it: "ext-iscsid not running, kubelet not healthy" (v1.13.9, controllers/runtime/machine_status.go).
  const lacking = machine.unmet.flatMap(({ name, reason }) =>
    name === "services"
      ? reason.split(", ").map((part) => /^(\S+) not (?:running|healthy)$/.exec(part)?.[1])
      : [undefined],
  );
  return lacking.length > 0 && lacking.every((id) => id !== undefined && services.includes(id));
}
