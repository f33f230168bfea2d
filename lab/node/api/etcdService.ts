import { status } from "@grpc/grpc-js";
import { controlPlane } from "./configService.ts";
import { CallFailure } from "../machine/failure.ts";
import { EtcdView, newMemberId } from "../services/etcd.ts";
import { snapshotFile } from "../services/etcdSnapshot.ts";
import type { ServedMachine } from "./apid.ts";
import { booted } from "../services/sequence.ts";

const service = "/machine.MachineService";

/** @throws CallFailure once the caller gives up */
async function givenUp(signal: AbortSignal): Promise<never> {
  await new Promise<void>((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener("abort", () => resolve(), { once: true });
  });
  throw new CallFailure(status.DEADLINE_EXCEEDED, "context deadline exceeded");
}

/** Bootstraps etcd, and inspects it. Only control planes have etcd. */
export function registerEtcdService(node: ServedMachine): void {
  const { handlers } = node;
  const etcd = new EtcdView(node);

  handlers.unary(`${service}/Bootstrap`, () => {
    controlPlane(node, "bootstrap");
    if (booted(node).services.get("etcd") === undefined) {
      throw new CallFailure(status.FAILED_PRECONDITION, "bootstrap is not available yet");
    }
    if (node.faults.has("clock-skewed"))
      throw new CallFailure(status.FAILED_PRECONDITION, "time is not in sync yet");
    if (node.disk.etcd !== undefined)
      throw new CallFailure(status.ALREADY_EXISTS, "etcd data directory is not empty");
    node.disk.etcd = { memberId: newMemberId() };
    node.bootstrapPending = true;
    node.saveDisk();
    node.changes.notify();
    return { messages: [{}] };
  });

  handlers.unary<{ queryLocal: boolean }>(`${service}/EtcdMemberList`, async ({ queryLocal }, { signal }) => {
    controlPlane(node, "member list");
    if (queryLocal) etcd.requireLocal("failed to list members");
    // etcd only returns what a majority agreed on: without a quorum it doesn't answer until the caller's deadline.
    if (!etcd.hasQuorum()) await givenUp(signal);
    etcd.requireLeader();
    const members = etcd.members();
    return { messages: [{ legacyMembers: members.map(({ hostname }) => hostname), members }] };
  });

  handlers.unary(`${service}/EtcdStatus`, () => {
    controlPlane(node, "etcd status");
    return { messages: [{ memberStatus: etcd.status() }] };
  });

  for (const [method, action] of [
    ["EtcdDowngradeValidate", "validate"],
    ["EtcdDowngradeEnable", "enable"],
    ["EtcdDowngradeCancel", "cancel"],
  ] as const) {
    handlers.unary<{ version?: string }>(`${service}/${method}`, ({ version }) => {
      controlPlane(node, `etcd downgrade ${action}`);
      return {
        messages: [{ clusterDowngrade: { clusterVersion: etcd.downgrade(action, version) } }],
      };
    });
  }

  handlers.stream(`${service}/EtcdSnapshot`, async (_, send) => {
    controlPlane(node, "etcd snapshot");
    etcd.requireLocal("failed reading etcd snapshot");
    const content = snapshotFile(etcd.revision());
    for (let offset = 0; offset < content.length; offset += 1024)
      send({ bytes: content.subarray(offset, offset + 1024) });
  });

  handlers.unary(`${service}/EtcdAlarmList`, () => {
    controlPlane(node, "etcd alarm list");
    etcd.requireLocal("failed to list etcd alarms");
    return { messages: [{ memberAlarms: etcd.alarms() }] };
  });

  handlers.unary(`${service}/EtcdAlarmDisarm`, () => {
    controlPlane(node, "etcd alarm disarm");
    etcd.requireLocal("failed to disarm etcd alarms");
    return { messages: [{ memberAlarms: etcd.disarm() }] };
  });

  handlers.unary<{ memberId: string }>(`${service}/EtcdRemoveMemberByID`, ({ memberId }) => {
    controlPlane(node, "etcd remove member");
    etcd.removeMember(memberId);
    return { messages: [{}] };
  });

  handlers.unary(`${service}/EtcdForfeitLeadership`, () => {
    controlPlane(node, "etcd forfeit leadership");
    etcd.requireLeader();
    const member = etcd.forfeit();
    return { messages: [member === undefined ? {} : { member: member.hostname }] };
  });

  handlers.unary(`${service}/EtcdLeaveCluster`, () => {
    controlPlane(node, "etcd leave");
    etcd.requireLeader();
    delete node.disk.etcd;
    node.saveDisk();
    booted(node).services.put("etcd", "Finished", "Service finished successfully");
    return { messages: [{}] };
  });
}
