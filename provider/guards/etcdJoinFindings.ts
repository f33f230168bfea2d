import type { CallOptions, TalosReader } from "../../talos/api/talosClient.ts";
import { etcdSeenByOthers } from "../gate/etcdLeave.ts";
import { readEtcdStep } from "./etcdStep.ts";
import { etcdVersionFindings } from "./etcdVersion.ts";
import type { Finding } from "./finding.ts";

/** A machine in maintenance mode that will be a control plane. */
export interface JoiningControlPlane {
  readonly node: { name: string; node: string };
  readonly controlPlanes: readonly string[];
  readonly reader: (address: string) => TalosReader;
  /** The release that its first configuration installs; undefined if unknown. */
  readonly installs: string | undefined;
  /** The machine itself, read without client authentication. */
  readonly machine: TalosReader;
}

/**
 * Why a control plane in maintenance mode can't join etcd. It joins before the rollout and its hops begin, so its etcd meets the one that runs. An etcd that can't join leaves a
 * member that never started, which blocks the rollout.
 */
export async function etcdJoinFindings(
  { node, controlPlanes, reader, installs, machine }: JoiningControlPlane,
  call: CallOptions,
): Promise<Finding[]> {
  const seen = await etcdSeenByOthers({ node, controlPlanes, reader }, undefined, call);
  const members = (seen?.staying ?? []).flatMap(({ address, etcd }) =>
    "error" in etcd ? [] : [{ address, version: etcd.version, storageVersion: etcd.storageVersion }],
  );
  const [any] = members;
  // The gate sends a former member no configuration.
  if (any === undefined || seen?.leaving !== undefined) return [];
  // Talos on the disk stays what it is: the first configuration installs only on an empty one (siderolabs/talos v1.13 v1alpha1_sequencer.go Install).
  const installed = await machine.installedRelease(call);
  const talosVersion = installed ?? installs;
  if (talosVersion === undefined) return [];
  const terms = { talosVersion, allowDowngrade: false, snapshot: true };
  const step = await readEtcdStep(any.address, members, terms, reader(any.address), call);
  const others = `Add ${node.name} in a \`pulumi up\` of its own: after this rollout, or before it with the release that the others run.`;
  const [start, hint] =
    installed === undefined || installed === installs
      ? ["it", others]
      : [
          `Talos ${installed} is on its disk, and its first configuration installs nothing: it`,
          `Put the release that the others run on its disk, or wipe the disk and boot an ISO. ${others}`,
        ];
  return etcdVersionFindings(step).map((finding) => ({
    ...finding,
    problem: `${start} would join etcd before the other nodes are upgraded: ${finding.problem}`,
    hint,
  }));
}
