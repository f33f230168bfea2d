import { coded } from "../../talos/errorCodes.ts";
import { compareEtcdMinors, describeEtcdMinor, etcdMinor, type EtcdMinor } from "../../talos/etcdVersions.ts";
import { TalosError } from "../../talos/api/errors.ts";
import { formatDuration } from "../clock.ts";
import { stepError, pollUntil, type UpgradeContext } from "../context.ts";
import { describeImage } from "../../talos/nodeOutlook.ts";
import { readEtcdStep } from "../guards/etcdStep.ts";
import {
  clusterVersion,
  describeEtcd,
  downgradeTarget,
  etcdVersionAfter,
  type EtcdRelease,
} from "../guards/etcdVersion.ts";
import { SnapshotError, SnapshotFolder, type SavedSnapshot } from "../snapshot/folder.ts";
import { talosctlCommand } from "../talosctl.ts";
import { remainingMs } from "./pull.ts";

/**
 * Prepares etcd before a control plane is disturbed: takes a snapshot if one is wanted and this rollout has none, and makes sure the desired Talos's etcd can
 * read the data.
 */
export async function prepareEtcd(context: UpgradeContext): Promise<SavedSnapshot | undefined> {
  if (context.wanted.role !== "controlplane") return undefined;
  const snapshot = await takeSnapshot(context);
  await matchStorageVersion(context);
  return snapshot;
}

/** Every control plane that answers; the guard reports the others. */
async function readEtcdReleases({ wanted, peer, timeouts, signal }: UpgradeContext): Promise<EtcdRelease[]> {
  const addresses = [...new Set([wanted.node, ...wanted.controlPlanes])];
  const all = await Promise.all(
    addresses.map(async (address) => {
      try {
        const status = await peer(address).etcdStatus({ deadlineMs: timeouts.probeMs * 2, signal });
        return [{ address, version: status.version, storageVersion: status.storageVersion }];
      } catch (error) {
        if (!(error instanceof TalosError) || error.kind === "cancelled") throw error;
        return [];
      }
    }),
  );
  return all.flat();
}

async function takeSnapshot(context: UpgradeContext): Promise<SavedSnapshot | undefined> {
  const { wanted, talos, progress, clock } = context;
  if (wanted.etcdSnapshot === undefined) return undefined;
  const folder = new SnapshotFolder(wanted.etcdSnapshot);
  const now = new Date(clock.now());
  const rollout = `${wanted.talosVersion} ${wanted.schematicId}`;
  try {
    const taken = await folder.of(rollout, now);
    if (taken !== undefined) return taken;
    progress.detail("taking a snapshot of etcd");
    const content = talos.etcdSnapshot({ deadlineMs: remainingMs(context), signal: context.signal });
    const saved = await folder.save(content, rollout, now);
    progress.info(
      `etcd snapshot ${saved.path} (${saved.size} bytes, revision ${saved.revision ?? "unknown"})`,
    );
    return saved;
  } catch (error) {
    const isTold =
      error instanceof SnapshotError || (error instanceof TalosError && error.kind !== "cancelled");
    if (!isTold) throw error;
    throw stepError(
      context,
      "guard",
      coded(
        "etcd-snapshot",
        `no snapshot of etcd: ${error instanceof TalosError ? error.detail : error.message}`,
      ),
      "Fix this first, or remove upgrade.etcdSnapshot from the settings, then run `pulumi up` again.",
    );
  }
}

/** If the desired Talos has an older etcd, etcd converts its data first; if a newer one, nothing may hold the data back. */
async function matchStorageVersion(context: UpgradeContext): Promise<void> {
  const { wanted, talos, gate, timeouts, signal, progress } = context;
  const call = { deadlineMs: timeouts.probeMs * 2, signal };
  const members = await readEtcdReleases(context);
  const terms = {
    talosVersion: wanted.talosVersion,
    allowDowngrade: wanted.etcdDowngrade,
    snapshot: wanted.etcdSnapshot !== undefined,
  };
  const step = await readEtcdStep(wanted.node, members, terms, talos, call);
  const target = downgradeTarget(step);
  if (target === undefined) {
    const stored = clusterVersion(members, true);
    const after = etcdMinor(etcdVersionAfter(step) ?? "");
    const isNewer = stored !== undefined && after !== undefined && compareEtcdMinors(after, stored) > 0;
    if (isNewer && (await talos.etcdDowngrading(stored, call))) {
      progress.info(
        `etcd's downgrade to ${describeEtcdMinor(stored)} is cancelled: the nodes go to ${describeEtcdMinor(after)}`,
      );
      await gate.cancelEtcdDowngrade(call);
    }
    return;
  }
  // The guard has just refused this, so something changed since its check.
  if (!wanted.etcdDowngrade) {
    throw stepError(
      context,
      "guard",
      coded(
        "etcd-downgrade",
        `etcd's data is now of ${describeEtcdMinor(clusterVersion(members, step.downgrading) ?? target)}`,
      ),
      "Run `pulumi up` again.",
    );
  }
  if (!step.downgrading) {
    progress.info(
      `etcd converts its data to ${describeEtcdMinor(target)}, so that ${describeImage(wanted.talosVersion, wanted.schematicId)} can read it`,
    );
    await gate.enableEtcdDowngrade(describeEtcdMinor(target), call);
  }
  await awaitStorageVersion(context, target);
}

/** etcd's leader checks every four seconds, and each member follows on its own. */
async function awaitStorageVersion(context: UpgradeContext, target: EtcdMinor): Promise<void> {
  const { clock, timeouts, progress, wanted } = context;
  const begun = clock.now();
  let last: EtcdRelease[] = [];
  const done = await pollUntil(context, begun + timeouts.serviceMs, async () => {
    last = await readEtcdReleases(context);
    const open = last.filter(({ storageVersion }) => {
      const minor = etcdMinor(storageVersion);
      return minor === undefined || compareEtcdMinors(minor, target) !== 0;
    });
    if (open.length === 0 && last.length >= new Set(wanted.controlPlanes).size) return true;
    progress.detail(
      `etcd converts its data: ${open.map((member) => `${member.address} ${describeEtcd(member)}`).join("; ")}`,
    );
    return undefined;
  });
  if (done) return;
  throw stepError(
    context,
    "guard",
    coded(
      "etcd-downgrade-timeout",
      `etcd did not convert its data to ${describeEtcdMinor(target)} within ${formatDuration(clock.now() - begun)}; last seen: ` +
        last.map((member) => `${member.address} ${describeEtcd(member)}`).join("; "),
    ),
    `Check ${talosctlCommand("etcd status", wanted.node)} and ${talosctlCommand("logs etcd", wanted.node)}. ${talosctlCommand("etcd downgrade cancel", wanted.node)} cancels it, \`pulumi up\` continues it.`,
  );
}
