import { status } from "@grpc/grpc-js";
import {
  compareEtcdMinors,
  etcdMinor,
  etcdVersionOf,
  etcdVersionOfImage,
  type EtcdMinor,
} from "../../../talos/etcdVersions.ts";
import { CallFailure } from "../machine/failure.ts";
import type { Machine } from "../machine/machine.ts";

/** The etcd release of a node: that of its Talos release, or of the image in its configuration. */
export function etcdRelease(node: Machine): string {
  const named = node.config?.etcdImage;
  const release = named === undefined ? etcdVersionOf(node.version) : etcdVersionOfImage(named);
  if (release === undefined)
    throw new Error(`${node.name}: which etcd is in ${named ?? `Talos ${node.version}`}?`);
  return release;
}

/** Its minor version. */
export function ownMinor(node: Machine): EtcdMinor {
  return etcdMinor(etcdRelease(node)) ?? { major: 0, minor: 0 };
}

/** Parses a version as Talos does: `3.6`, and nothing else (siderolabs/talos v1.13.9 validateDowngrade). */
export function requestedMinor(version: string): EtcdMinor {
  const refuse = (what: string): CallFailure => new CallFailure(status.INVALID_ARGUMENT, what);
  if (version === "") throw refuse("version is required for etcd downgrade");
  const minor = /^\d+\.\d+$/.test(version) ? etcdMinor(version) : undefined;
  if (minor === undefined) throw refuse("version should be in MAJOR.MINOR format");
  if (compareEtcdMinors(minor, { major: 3, minor: 5 }) < 0)
    throw refuse("etcd downgrade is only supported to 3.5 and later versions");
  return minor;
}
