import { parseAllDocuments } from "yaml";
import type { CallOptions, TalosReader } from "../../talos/api/talosClient.ts";
import {
  clusterVersion,
  downgradeTarget,
  etcdVersionFindings,
  type EtcdRelease,
  type EtcdStep,
} from "./etcdVersion.ts";

/** The desired etcd of a control plane. */
export interface EtcdWanted {
  readonly talosVersion: string;
  readonly allowDowngrade: boolean;
  readonly snapshot: boolean;
}

/**
 * What upgrading a control plane means for etcd. Rarely needed facts are only read if they matter: whether a downgrade holds the data back, and whether the
 * configuration sets its own etcd image.
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

/** No findings and nothing to do. */
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
