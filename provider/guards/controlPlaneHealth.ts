import type { ErrorCode } from "../../talos/errorCodes.ts";
import { TalosError } from "../../talos/api/errors.ts";
import type { CallOptions, TalosReader } from "../../talos/api/talosClient.ts";
import { readPeerReport } from "./controlPlane.ts";
import { peerFindings, type PeerReport } from "./etcd.ts";
import { describeMachine } from "../facts.ts";
import { talosctlCommand } from "../talosctl.ts";
import type { Finding } from "./finding.ts";

/** What a look at a cluster's control planes gave. */
export interface ControlPlaneHealth {
  /** False for a cluster that is not bootstrapped yet: nothing of it can be disturbed. */
  readonly runs: boolean;
  /** What is not well with the control planes other than the one in question. */
  readonly findings: readonly Finding[];
  /** What each control plane says of itself, the one in question included. */
  readonly peers: readonly PeerReport[];
  /** kube-apiserver of one of them is well, but its kubelet has not taken its newest manifest over yet. */
  readonly restarting: readonly Finding[];
}

interface ControlPlaneLook {
  readonly report: PeerReport;
  readonly maintenance: boolean;
  readonly findings: Finding[];
  readonly restarting: Finding[];
}

/**
 * Looks at all control planes at once. Machines in maintenance mode are none yet and do not count.
 * @param self a node whose configuration is to be applied: its own health is no obstacle, the change may be its cure. Undefined: all count.
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
      if (error instanceof TalosError && error.kind !== "cancelled") return undefined; // told by the report
      throw error;
    }),
  ]);
  const maintenance = report.error !== undefined && (await talos.inMaintenance());
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

/** What is not well with a machine that is no control plane. */
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
