import type { ErrorCode } from "../../talos/errorCodes.ts";
import { TalosError } from "../../talos/api/errors.ts";
import type { CallOptions, TalosReader } from "../../talos/api/talosClient.ts";
import { readPeerReport } from "./controlPlane.ts";
import { peerFindings, type PeerReport } from "./etcd.ts";
import { describeMachine } from "../facts.ts";
import { talosctlCommand } from "../talosctl.ts";
import type { Finding } from "./finding.ts";

/** The health of a cluster's control planes. */
export interface ControlPlaneHealth {
  /** False for a cluster that isn't bootstrapped yet: it has nothing to disturb. */
  readonly runs: boolean;
  /** Problems of the control planes other than this node. */
  readonly findings: readonly Finding[];
  /** Every control plane's report, including this node's. */
  readonly peers: readonly PeerReport[];
  /** kube-apiserver is healthy on one of them, but its kubelet hasn't picked up the newest manifest yet. */
  readonly restarting: readonly Finding[];
}

interface ControlPlaneLook {
  readonly report: PeerReport;
  readonly maintenance: boolean;
  readonly findings: Finding[];
  readonly restarting: Finding[];
}

/**
 * Checks all control planes concurrently. Machines in maintenance mode are not control planes yet and don't count.
 * @param self a node about to be configured: its own health doesn't block, since the change may be the fix. Undefined: all count.
 */
export async function readControlPlaneHealth(
  self: string | undefined,
  controlPlanes: readonly string[],
  peer: (address: string) => TalosReader,
  call: CallOptions,
): Promise<ControlPlaneHealth> {
  const all = await Promise.all(
    [...new Set(controlPlanes)].map((address) => lookAtControlPlane(address, peer(address), call)),
  );
  const seen = all.filter(({ maintenance }) => !maintenance);
  const silent = seen.some(({ report }) => report.error !== undefined);
  const etcd = seen.some(({ report }) => report.error === undefined && !("error" in report.etcd));
  const others = seen.filter(({ report }) => report.address !== self);
  return {
    runs: etcd || silent,
    peers: seen.map(({ report }) => report),
    findings: [
      ...peerFindings({ peers: others.map(({ report }) => report), self: self ?? "", imageServices: [] }),
      ...others.flatMap(({ findings }) => findings),
    ],
    restarting: others.flatMap(({ restarting }) => restarting),
  };
}

async function lookAtControlPlane(
  address: string,
  talos: TalosReader,
  call: CallOptions,
): Promise<ControlPlaneLook> {
  const [report, apiServer] = await Promise.all([
    readPeerReport(address, talos, call),
    talos.apiServer(call).catch((error: unknown) => {
      if (error instanceof TalosError && error.kind !== "cancelled") return undefined; // covered by the report
      throw error;
    }),
  ]);
  const maintenance = report.error !== undefined && report.waits === true;
  const hint = `Check ${talosctlCommand("containers --kubernetes", address)} and the log of kube-apiserver there.`;
  const finding = (problem: string): Finding[] => [
    { code: "apiserver-not-ready", problem, hint, mayPass: true, recovers: true },
  ];
  return {
    report,
    maintenance,
    findings: apiServer?.ready === false ? finding(`kube-apiserver on ${address} is not ready`) : [],
    restarting:
      apiServer?.ready === true && apiServer.outdated
        ? finding(`kube-apiserver on ${address} has not restarted with its new manifest yet`).map((one) => ({
            ...one,
            restarting: true,
          }))
        : [],
  };
}

/** Health problems of a worker machine. */
export async function workerFindings(
  node: string,
  talos: TalosReader,
  call: CallOptions,
): Promise<Finding[]> {
  const wait = (code: ErrorCode, problem: string): Finding[] => [
    {
      code,
      problem,
      hint: `Check ${talosctlCommand("dmesg", node)} and ${talosctlCommand("services", node)}.`,
      mayPass: true,
      recovers: true,
    },
  ];
  try {
    const machine = await talos.machineStatus(call);
    return machine.stage === "running" && machine.ready
      ? []
      : wait("machine-not-ready", `the machine is ${describeMachine(machine)}`);
  } catch (error) {
    if (!(error instanceof TalosError) || error.kind === "cancelled") throw error;
    return (await talos.inMaintenance())
      ? []
      : wait("node-unreachable", `the node does not answer: ${error.detail}`);
  }
}
