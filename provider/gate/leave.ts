import { TalosError } from "../../talos/api/errors.ts";
import type { CallOptions, TalosReader } from "../../talos/api/talosClient.ts";
import type { Finding } from "../guards/finding.ts";
import { talosctl } from "../talosctl.ts";
import { quorumFindings, type EtcdReport } from "../membership/quorum.ts";

interface Leaving {
  readonly node: { name: string; node: string };
  /** Addresses of the control planes that stay. */
  readonly controlPlanes: readonly string[];
  readonly reader: (address: string) => TalosReader;
}

/** What stands against a control plane's leaving for good, as far as etcd is concerned. */
export async function leaveFindings(
  leaving: Leaving,
  known: string | undefined,
  call: CallOptions,
): Promise<Finding[]> {
  const report = await etcdWithout(leaving, known, call);
  if (report !== undefined) return quorumFindings(report);
  const staying = leaving.controlPlanes.filter((address) => address !== leaving.node.node).join(",");
  return [
    {
      problem: "etcd does not answer on any of the control planes that stay",
      hint: `Look at ${talosctl("service etcd", staying)} and ${talosctl("etcd status", staying)}.`,
      mayPass: true,
    },
  ];
}

/** etcd without the node, as the control planes that stay see it; undefined while none of them answers. */
export async function etcdWithout(
  { node, controlPlanes, reader }: Leaving,
  known: string | undefined,
  call: CallOptions,
): Promise<EtcdReport | undefined> {
  const others = controlPlanes.filter((address) => address !== node.node);
  const staying = await Promise.all(
    others.map(async (address) => ({ address, etcd: await attempt(() => reader(address).etcdStatus(call)) })),
  );
  for (const address of others) {
    const members = await attempt(() => reader(address).etcdMembers(call));
    if ("error" in members) continue;
    const own = members.find(({ id, hostname, addresses }) =>
      known === undefined ? hostname === node.name || addresses.includes(node.node) : id === known,
    );
    return { leaving: own?.id, name: node.name, members, staying };
  }
  return undefined;
}

async function attempt<T extends object>(read: () => Promise<T>): Promise<T | { error: string }> {
  try {
    return await read();
  } catch (error) {
    if (error instanceof TalosError && error.kind !== "cancelled") return { error: error.detail };
    throw error;
  }
}
