import { status } from "@grpc/grpc-js";
import semver from "semver";
import { CallFailure } from "../machine/failure.ts";
import { EtcdView } from "../services/etcd.ts";
import { install, pull } from "../disk/installer.ts";
import { refreshServices } from "../services/bringUp.ts";
import type { Machine } from "../machine/machine.ts";
import type { ServedMachine } from "./apid.ts";
import {
  booted,
  goDown,
  newActorId,
  beginSequence,
  runSequence,
  stopServices,
  type Phase,
} from "../services/sequence.ts";
import type { Service } from "../machine/services.ts";

interface UpgradeRequest {
  image: string;
  preserve: boolean;
  stage: boolean;
  force: boolean;
}

interface ResetRequest {
  graceful: boolean;
  reboot: boolean;
  systemPartitionsToWipe: { label: string; wipe: boolean }[];
  mode: "ALL" | "SYSTEM_DISK" | "USER_DISKS";
}

const service = "/machine.MachineService";

/** Serves a machine's version, services and events, and the calls that take it down. */
export function registerMachineService(node: ServedMachine): void {
  const { handlers } = node;
  handlers.unary(`${service}/Version`, () => ({ messages: [version(node)] }));
  handlers.unary(`${service}/Hostname`, () => ({ messages: [{ hostname: node.hostname }] }));
  handlers.unary(`${service}/ServiceList`, () => ({
    messages: [{ services: booted(node).services.list().map(serviceInfo) }],
  }));
  handlers.unary(`${service}/Memory`, () => ({
    messages: [{ meminfo: { memtotal: "8388608", memfree: "6291456", memavailable: "6815744" } }],
  }));
  handlers.unary(`${service}/Mounts`, () => ({
    messages: [
      {
        stats: [
          { filesystem: "/dev/sda4", size: "107374182400", available: "96636764160", mountedOn: "/var" },
        ],
      },
    ],
  }));
  handlers.unary("/storage.StorageService/Disks", () => ({
    messages: [
      {
        disks: [
          {
            size: "107374182400",
            model: "LAB-DISK",
            deviceName: "/dev/sda",
            serial: node.disk.uuid.slice(0, 8),
            systemDisk: node.disk.active !== undefined,
          },
        ],
      },
    ],
  }));
  handlers.stream<Parameters<ReturnType<typeof booted>["events"]["watch"]>[0]>(
    `${service}/Events`,
    async (request, send, { signal }) => {
      // The first message is empty: it tells the caller that the stream is established.
      send({});
      await booted(node).events.watch(request, send, signal);
    },
  );
  handlers.stream<{ follow: boolean; tail: boolean }>(
    `${service}/Dmesg`,
    async (request, send, { signal }) => {
      await booted(node).kernelLog.read(request, (line) => send({ bytes: Buffer.from(line) }), signal);
    },
  );
  handlers.stream<{ id: string }>(`${service}/Logs`, async ({ id }, send) => {
    const boot = booted(node);
    const found = boot.services.get(id);
    if (found === undefined) throw new CallFailure(status.UNKNOWN, `log "${id}" was not registered`);
    for (const { at, state, msg } of found.events) {
      send({ bytes: Buffer.from(`${at.toISOString()} ${id}[${state}]: ${msg}\n`) });
    }
    if (id === "machined") for (const line of boot.machinedLog) send({ bytes: Buffer.from(line) });
  });
  registerServiceControl(node);

  handlers.unary(`${service}/Reboot`, () => {
    const actorId = newActorId();
    if (!node.faults.strikes("reboot-ignored")) reboot(node, actorId);
    return { messages: [{ actorId }] };
  });
  handlers.unary(`${service}/Shutdown`, () => {
    const actorId = newActorId();
    booted(node).setStatus("shutting down", [], actorId);
    beginSequence(node, "shutdown", actorId, [...stopServices(node, actorId), goDown(node, "off")]);
    return { messages: [{ actorId }] };
  });
  handlers.unary(`${service}/Rollback`, () => {
    const other = node.disk.active === "A" ? "B" : "A";
    if (node.disk.slots[other] === undefined) {
      throw new CallFailure(status.UNKNOWN, `cannot rollback to ${other}, no such boot entry`);
    }
    node.disk.active = other;
    delete node.disk.fallback;
    node.saveDisk();
    reboot(node, newActorId());
    return { messages: [{}] };
  });
  handlers.unary<ResetRequest>(`${service}/Reset`, (request) => {
    const actorId = newActorId();
    reset(node, request, actorId);
    return { messages: [{ actorId }] };
  });
  handlers.unary<UpgradeRequest>(
    `${service}/Upgrade`,
    async (request, { signal }) => await upgrade(node, request, signal),
  );
}

function version(node: Machine): object {
  return {
    version: {
      tag: node.version,
      sha: "00000000",
      built: "",
      goVersion: "go1.26.0",
      os: "linux",
      arch: "amd64",
    },
    platform: { name: "metal", mode: "metal" },
    ...(node.config === undefined ? {} : { features: { rbac: true } }),
  };
}

const timestamp = (at: Date): object => ({
  seconds: String(Math.floor(at.getTime() / 1000)),
  nanos: (at.getTime() % 1000) * 1_000_000,
});

function serviceInfo({ id, state, healthy, healthMessage, changed, events }: Service): object {
  return {
    id,
    state,
    events: { events: events.map(({ msg, state: was, at }) => ({ msg, state: was, ts: timestamp(at) })) },
    health: {
      unknown: healthy === undefined,
      healthy: healthy === true,
      lastMessage: healthMessage,
      lastChange: timestamp(changed),
    },
  };
}

/** Only kubelet, cri and extension services can be controlled through the API. */
function registerServiceControl(node: ServedMachine): void {
  const control = (verb: "start" | "stop" | "restart", done: string): void => {
    const name = `Service${verb[0]?.toUpperCase() ?? ""}${verb.slice(1)}`;
    node.handlers.unary<{ id: string }>(`${service}/${name}`, ({ id }) => {
      const boot = booted(node);
      if (boot.services.get(id) === undefined)
        throw new CallFailure(status.UNKNOWN, `service "${id}" not defined`);
      const allowed = id.startsWith("ext-") || (verb === "restart" && (id === "kubelet" || id === "cri"));
      if (!allowed) {
        throw new CallFailure(status.UNKNOWN, `service "${id}" doesn't support ${verb} operation via API`);
      }
      if (verb === "stop") boot.stopped.add(id);
      else boot.stopped.delete(id);
      refreshServices(node, boot);
      node.changes.notify();
      return { messages: [{ resp: `Service "${id}" ${done}` }] };
    });
  };
  control("start", "started");
  control("stop", "stopped");
  control("restart", "restarted");
}

/** Starts the reboot sequence and doesn't wait for it. */
export function reboot(node: Machine, actorId: string): void {
  booted(node).setStatus("rebooting", [], actorId);
  beginSequence(node, "reboot", actorId, [...stopServices(node, actorId), goDown(node, "reboot")]);
}

function reset(node: Machine, request: ResetRequest, actorId: string): void {
  const labels = request.systemPartitionsToWipe.filter(({ wipe }) => wipe).map(({ label }) => label);
  const everything = request.systemPartitionsToWipe.length === 0 && request.mode !== "USER_DISKS";
  const { role } = node.identity();
  if (request.graceful && role === "controlplane" && node.disk.etcd !== undefined)
    new EtcdView(node).requireLeader();
  booted(node).setStatus("resetting", [], actorId);
  const wipe: Phase = {
    name: "reset",
    task: "resetSystemDisk",
    run: async () => {
      const identity = node.identity();
      if (everything) node.wipeDisk();
      if (labels.includes("STATE")) {
        delete node.disk.config;
      }
      if (labels.includes("EPHEMERAL")) {
        delete node.disk.etcd;
        node.disk.images = {};
      }
      node.saveDisk();
      if (everything || labels.includes("EPHEMERAL")) await node.kubernetes.removed(identity);
    },
  };
  beginSequence(node, "reset", actorId, [
    ...stopServices(node, actorId),
    wipe,
    goDown(node, request.reboot ? "reboot" : "off"),
  ]);
}

/**
 * The upgrade call of Talos 1.12 and older, which newer releases still have: it checks etcd itself, pulls the image before it
 * answers, then installs and reboots on its own.
 */
async function upgrade(node: Machine, request: UpgradeRequest, signal: AbortSignal): Promise<object> {
  const { faults, disk } = node;
  const boot = booted(node);
  if (disk.active === undefined) throw new CallFailure(status.FAILED_PRECONDITION, "Talos is not installed");
  if (faults.strikes("upgrade-locked") || boot.busy !== undefined) {
    throw new CallFailure(status.FAILED_PRECONDITION, "another upgrade is in progress");
  }
  const image = await pull(node, request.image, signal).catch((error: unknown) => {
    const reason = error instanceof Error ? error.message : String(error);
    throw new CallFailure(status.UNKNOWN, `error validating installer image "${request.image}": ${reason}`);
  });
  const keeps = request.preserve || semver.gte(node.version, "1.8.0-0");
  // From these releases on, `preserve` skips the etcd check instead (siderolabs/talos commit 89e307e58).
  const skipsCheck =
    request.preserve && semver.satisfies(node.version, "~1.12.9 || >=1.13.4", { includePrerelease: true });
  if (node.config?.role === "controlplane" && !request.force && !skipsCheck) {
    const etcd = new EtcdView(node);
    if (!keeps && etcd.members().length === 1) {
      throw new CallFailure(
        status.UNKNOWN,
        "error validating etcd for upgrade: only 1 etcd member found; this would lose its data: use --preserve to upgrade",
      );
    }
    etcd.validateForUpgrade();
  }
  const actorId = newActorId();
  void runUpgrade(node, request, actorId, { keeps, image: image.reference });
  return { messages: [{ ack: "Upgrade request received", actorId }] };
}

async function runUpgrade(
  node: Machine,
  request: UpgradeRequest,
  actorId: string,
  { keeps, image }: { keeps: boolean; image: string },
): Promise<void> {
  const boot = booted(node);
  const pulled = node.disk.images[image];
  if (pulled === undefined) return;
  boot.setStatus("upgrading", [], actorId);
  if (request.stage) {
    node.disk.stagedUpgrade = pulled;
    node.saveDisk();
    await runSequence(node, "stageUpgrade", actorId, [
      ...stopServices(node, actorId),
      goDown(node, "reboot"),
    ]);
    return;
  }
  const write: Phase = {
    name: "upgrade",
    task: "upgrade",
    run: async () => {
      if (node.faults.strikes("reboots-during-install")) {
        node.powerCut("reboot");
        return;
      }
      const exitCode = await install(node, pulled, "legacy", (line) => node.log(line), boot.power);
      if (exitCode !== 0) throw new Error(`upgrade failed: exit code ${exitCode}`);
      if (!keeps) {
        node.dataWipes++;
        delete node.disk.etcd;
        node.disk.images = {};
        node.saveDisk();
      }
    },
  };
  await runSequence(node, "upgrade", actorId, [
    ...stopServices(node, actorId),
    write,
    goDown(node, "reboot"),
  ]);
}
