import { TalosError } from "./errors.ts";
import type { TalosApi } from "./load.ts";
import { splitEndpoint } from "../endpoint.ts";
import type {
  ApplyAnswer,
  EtcdAlarm,
  EtcdMember,
  EtcdStatus,
  InstalledExtension,
  MachineStatus,
  RunningService,
  RunningVersion,
} from "./talosClient.ts";

// Converts the output of proto-loader and YAML to this program's types. The shapes are those of the .proto files next to this one, for which loading fills in
// every default (load.ts), and of the specs in siderolabs/talos pkg/machinery/resources.

type Message = Record<string, unknown>;

/** The replies in a MachineService response: one per node, each of which may be an error. */
export function repliesOf(response: Message, node: string, call: string): Message[] {
  const list = response["messages"] as Message[];
  for (const message of list) {
    const metadata = message["metadata"] as { error?: string } | null;
    if (metadata?.error) throw new TalosError("failed", node, call, metadata.error);
  }
  return list;
}

export function toRunningVersion(message: Message): RunningVersion {
  const version = message["version"] as { tag: string; arch: string } | null;
  const platform = message["platform"] as { name: string } | null;
  return { tag: version?.tag ?? "", arch: version?.arch ?? "", platform: platform?.name ?? "" };
}

export function toMachineStatus(spec: Message): MachineStatus {
  const status = spec["status"] as
    { ready?: boolean; unmetConditions?: { name?: string; reason?: string }[] | null } | undefined;
  return {
    stage: typeof spec["stage"] === "string" ? spec["stage"] : "unknown",
    ready: status?.ready ?? false,
    unmet: (status?.unmetConditions ?? []).map(({ name, reason }) => ({
      name: name ?? "",
      reason: reason ?? "",
    })),
  };
}

interface WireService {
  id: string;
  state: string;
  health: { unknown: boolean; healthy: boolean } | null;
  events: { events: { msg: string }[] } | null;
}

export function toServices(message: Message): RunningService[] {
  return (message["services"] as WireService[]).map(({ id, state, health, events }) => ({
    id,
    state,
    health: health === null || health.unknown ? "unknown" : health.healthy ? "healthy" : "unhealthy",
    lastEvent: events?.events.at(-1)?.msg ?? "",
  }));
}

export function toExtensions(
  specs: Message[],
  factory: Message | undefined,
): { installed: InstalledExtension[]; schematicId: string | undefined } {
  const all = specs.map((spec) => {
    const metadata = spec["metadata"] as { name?: string; version?: string | number } | undefined;
    return { name: metadata?.name ?? "", version: String(metadata?.version ?? "") };
  });
  const fromFactory = factory?.["schematicId"];
  return {
    // The factory adds its own entries: the schematic, and the module dependency list of the whole image.
    installed: all.filter(({ name }) => name !== "schematic" && name !== "modules.dep"),
    schematicId:
      all.find(({ name }) => name === "schematic")?.version ??
      (typeof fromFactory === "string" && fromFactory !== "" ? fromFactory : undefined),
  };
}

interface WireEtcdMember {
  id: string;
  hostname: string;
  peerUrls: string[];
  isLearner: boolean;
}

export function toEtcdMembers(message: Message): EtcdMember[] {
  return (message["members"] as WireEtcdMember[]).map(({ id, hostname, peerUrls, isLearner }) => ({
    id,
    hostname,
    addresses: peerUrls.map((url) => splitEndpoint(url.replace(/^[a-z]+:\/\//, "")).host),
    learner: isLearner,
  }));
}

export function toEtcdStatus(message: Message): EtcdStatus {
  const status = message["memberStatus"] as {
    memberId: string;
    protocolVersion: string;
    storageVersion: string;
    leader: string;
    isLearner: boolean;
    errors: string[];
  } | null;
  return {
    memberId: status?.memberId ?? "0",
    version: status?.protocolVersion ?? "",
    storageVersion: status?.storageVersion ?? "",
    leader: status?.leader ?? "0",
    learner: status?.isLearner ?? false,
    errors: status?.errors ?? [],
  };
}

export function toEtcdAlarms(message: Message): EtcdAlarm[] {
  return (message["memberAlarms"] as { memberId: string; alarm: string }[]).filter(
    ({ alarm }) => alarm !== "NONE",
  );
}

/** Adds one message of a pull to the progress of its layers. */
export function addLayerProgress(
  message: Message,
  layers: Map<string, { done: number; total: number }>,
): void {
  const pull = message["pullProgress"] as {
    layerId: string;
    progress: { status: string; offset: string; total: string } | null;
  } | null;
  if (!pull?.progress) return;
  const { status, offset, total } = pull.progress;
  const known = layers.get(pull.layerId);
  const size = Math.max(Number(total), known?.total ?? 0);
  // While a layer is unpacked its offset starts at zero again.
  layers.set(pull.layerId, { done: status === "DOWNLOADING" ? Number(offset) : size, total: size });
}

export function toInstallProgress(message: Message): { exitCode?: number; message?: string } {
  const progress = message["progress"] as { response?: string; message?: string; exitCode?: number } | null;
  if (progress?.response === "exitCode") return { exitCode: progress.exitCode ?? 0 };
  if (progress?.response === "message") return { message: progress.message ?? "" };
  return {};
}

/** The error of a sequence (upgrade, reboot, …), if this event reports a failure. */
export function sequenceFailure(event: Message, api: TalosApi): string | undefined {
  // proto-loader only unwraps an Any if told each type, so the content is decoded here. Its own Any also keeps the name `type_url`.
  const data = event["data"] as { type_url?: string; value?: Buffer } | null;
  if (!data?.type_url?.endsWith("/machine.SequenceEvent") || !data.value) return undefined;
  const sequence = api.message("machine.SequenceEvent").decode(data.value);
  const error = sequence["error"] as { message?: string } | null;
  return error?.message ? `${String(sequence["sequence"])}: ${error.message}` : undefined;
}

export function toApplyAnswer(message: Message): ApplyAnswer {
  const { mode, modeDetails, warnings } = message as {
    mode?: string;
    modeDetails?: string;
    warnings?: string[];
  };
  return { mode: mode ?? "", warnings: warnings ?? [], details: modeDetails ?? "" };
}
