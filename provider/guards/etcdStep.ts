import { parseAllDocuments } from "yaml";
import type { CallOptions, TalosReader } from "../../talos/api/talosClient.ts";
import {
  clusterVersion,
  downgradeTarget,
  etcdVersionFindings,
  type EtcdRelease,
  type EtcdStep,
} from "./etcdVersion.ts";

/** What a control plane is to run, as far as it matters to etcd. */
export interface EtcdWanted {
  readonly talosVersion: string;
  readonly allowDowngrade: boolean;
  readonly snapshot: boolean;
}

/**
 * What the upgrade of a control plane means for etcd. What is seldom needed is only asked where it makes a difference: whether a
 * downgrade holds the data back, and whether the configuration names an etcd of its own.
 */
export async function readEtcdStep(
  self: string,
  members: readonly EtcdRelease[],
  wanted: EtcdWanted,
  talos: TalosReader,
  call: CallOptions,
): Promise<EtcdStep> {
  const step: EtcdStep = { self, members, ...wanted, downgrading: false };
  if (isUneventful(step)) return step;
  const stored = clusterVersion(members, true);
  const downgrading = stored !== undefined && (await talos.etcdDowngrading(stored, call));
  const known = { ...step, downgrading };
  if (isUneventful(known)) return known;
  return { ...known, etcdImage: await ownEtcdImage(talos, call) };
}

/** Nothing to complain of and nothing to do. */
function isUneventful(step: EtcdStep): boolean {
  return etcdVersionFindings(step).length === 0 && downgradeTarget(step) === undefined;
}

/** `cluster.etcd.image` of the node's machine configuration. */
async function ownEtcdImage(talos: TalosReader, call: CallOptions): Promise<string | undefined> {
  const text = await talos.machineConfiguration(call);
  if (text === undefined) return undefined;
  for (const document of parseAllDocuments(text)) {
    const image: unknown = document.getIn(["cluster", "etcd", "image"]);
    if (typeof image === "string") return image;
  }
  return undefined;
}
