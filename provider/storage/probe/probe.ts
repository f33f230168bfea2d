import { coded } from "../../../talos/errorCodes.ts";
import type { Clock } from "../../clock.ts";
import { backoff } from "../../timeouts.ts";
import { Cancelled } from "../../errors.ts";
import { KubernetesError } from "../../kubernetes.ts";
import { startHeartbeat, Leftovers, removeNamespace } from "./cleanup.ts";
import type { ProbeCluster } from "./cluster.ts";
import { probeLabel, probeNamespace } from "./objects.ts";
import {
  planProbe,
  type ClusterFacts,
  type PlannedVolume,
  type ProbePlan,
  type ProbeRequest,
} from "./plan.ts";
import type { ProbeReport, VolumeRow } from "./report.ts";
import { probeVolume, type VolumeSite } from "./volume.ts";

/** A probe's dependencies. */
export interface ProbeSite {
  readonly clock: Clock;
  /** Ends the probe: its objects are removed, then it fails with `ProbeStopped`. */
  readonly signal: AbortSignal;
  /** Reports the current activity in one line. */
  readonly tell: (line: string) => void;
}

/** The probe could not run, so it says nothing about the storage. The message is user-facing. */
export class ProbeError extends Error {
  override readonly name: string = "ProbeError";

  constructor(problem: string) {
    super(coded("storage-probe", problem));
  }
}

/** The probe was stopped from outside. */
class ProbeStopped extends ProbeError {
  override readonly name = "ProbeStopped";
}

/** How long a stopped probe waits for its namespace to be deleted; the deletion continues without it. */
const stoppedMs = 45_000;
/** How long a driver with a running pod may take to register. */
const registerMs = 30_000;
/** How long the API server may leave the first requests unanswered. */
const unansweredMs = 60_000;

/**
 * Proves that volumes work: for each StorageClass and each node that runs its driver, creates a volume, writes it on that node, reads it on another, and
 * deletes it. Whatever happens, it removes what it created.
 * @throws ProbeError if it couldn't run, ProbeStopped if the signal ended it; a broken volume is reported, not thrown
 */
export async function runProbe(
  cluster: ProbeCluster,
  request: ProbeRequest,
  site: ProbeSite,
): Promise<ProbeReport> {
  const { clock, signal, tell } = site;
  const leftovers = new Leftovers(cluster, clock, signal);
  const { plan, attaching } = await retryUnanswered("look at the cluster", site, async () => {
    await leftovers.look();
    return planOnceRegistered(cluster, request, site);
  });
  const namespace = probeNamespace();
  const volumeSite: VolumeSite = {
    ...{ cluster, namespace, clock, signal, attaches: (driver) => attaching.has(driver) },
    image: request.image,
    size: request.size,
    timeoutSeconds: request.timeoutSeconds,
    tolerations: request.tolerations,
  };
  let volumes: VolumeRow[] = [];
  let left: string[] = [];
  if (plan.volumes.length > 0) {
    const beats = startHeartbeat(cluster, namespace, clock);
    try {
      await retryUnanswered(`create the namespace ${namespace}`, site, () =>
        cluster.createNamespace(namespace, namespaceLabels(namespace, plan)),
      );
      volumes = await probeAll(volumeSite, plan.volumes, request.concurrency, tell);
    } catch (error) {
      // Reported below, after cleanup.
      if (!signal.aborted || !(error instanceof Cancelled)) throw error;
    } finally {
      tell(`removing ${namespace}`);
      left = await removeNamespace(cluster, namespace, {
        clock,
        signal: new AbortController().signal,
        limitMs: signal.aborted ? stoppedMs : request.timeoutSeconds * 1000,
      });
      await beats.stop();
    }
  }
  if (signal.aborted) throw new ProbeStopped(stoppedText(left));
  const rows = [...plan.failed, ...volumes];
  return {
    result:
      left.length === 0 && rows.length > 0 && rows.every(({ result }) => result === "passed")
        ? "passed"
        : "failed",
    volumes: rows,
    skipped: plan.skipped,
    left,
    removed: await removeLeftovers(leftovers, request, site),
  };
}

/** Plans once the drivers have registered: after `pulumi up` their pods have just become ready, and registration follows. */
async function planOnceRegistered(
  cluster: ProbeCluster,
  request: ProbeRequest,
  { clock, signal, tell }: ProbeSite,
): ReturnType<typeof readAndPlan> {
  const end = clock.now() + registerMs;
  for (;;) {
    const found = await readAndPlan(cluster, request);
    if (found.plan.registering.length === 0 || clock.now() >= end) return found;
    tell(`waiting until the driver has registered on ${[...new Set(found.plan.registering)].join(", ")}`);
    await clock.sleep(1000, signal);
  }
}

async function readAndPlan(
  cluster: ProbeCluster,
  request: ProbeRequest,
): Promise<{ plan: ProbePlan; attaching: ReadonlySet<string> }> {
  const found = await Promise.all(request.classes.map(({ name }) => cluster.storageClass(name)));
  const classes = new Map(found.flatMap((one) => (one === undefined ? [] : [[one.name, one] as const])));
  const drivers = [...new Set([...classes.values()].map(({ provisioner }) => provisioner))];
  const [nodes, registered, pods, attaching] = await Promise.all([
    cluster.nodes(),
    cluster.registered(),
    Promise.all(drivers.map(async (driver) => [driver, await cluster.nodesOf(driver)] as const)),
    Promise.all(drivers.map(async (driver) => ((await cluster.attaches(driver)) ? [driver] : []))),
  ]);
  const facts: ClusterFacts = { nodes, classes, registered, driverPods: new Map(pods) };
  return { plan: planProbe(request, facts), attaching: new Set(attaching.flat()) };
}

/** Its own namespace admits pods under the strictest PodSecurity level; root writes a file server's share, which needs `baseline`. */
function namespaceLabels(run: string, { volumes }: ProbePlan): Record<string, string> {
  const level = volumes.some(({ storageClass }) => storageClass.isShare) ? "baseline" : "restricted";
  return {
    [probeLabel]: run,
    "app.kubernetes.io/part-of": "talos-iscsi",
    "pod-security.kubernetes.io/enforce": level,
    "pod-security.kubernetes.io/audit": level,
    "pod-security.kubernetes.io/warn": level,
  };
}

/** Limited concurrency, in the order of the plan. */
async function probeAll(
  site: VolumeSite,
  planned: readonly PlannedVolume[],
  concurrency: number,
  tell: (line: string) => void,
): Promise<VolumeRow[]> {
  const rows: VolumeRow[] = [];
  let next = 0;
  let done = 0;
  const work = async (): Promise<void> => {
    for (let index = next++; index < planned.length; index = next++) {
      const volume = planned[index] as PlannedVolume;
      tell(`${done} of ${planned.length} volumes done; ${volume.storageClass.name} on ${volume.node}`);
      rows[index] = await probeVolume(site, volume, index + 1);
      done += 1;
    }
  };
  const workers = Array.from({ length: Math.min(concurrency, planned.length) }, work);
  // All of them finish before anything is removed.
  const ends = await Promise.allSettled(workers);
  for (const end of ends) if (end.status === "rejected") throw end.reason;
  return rows;
}

async function removeLeftovers(
  leftovers: Leftovers,
  { timeoutSeconds }: ProbeRequest,
  { tell }: ProbeSite,
): Promise<string[]> {
  try {
    return await leftovers.remove(timeoutSeconds * 1000);
  } catch (error) {
    // The next probe finds them again.
    if (!(error instanceof KubernetesError) && !(error instanceof Cancelled)) throw error;
    tell(`leftovers of earlier probes could not be removed: ${error.message}`);
    return [];
  }
}

/** Retries for a minute if the API server doesn't answer: it may be busy with what was just deployed. */
async function retryUnanswered<T>(
  what: string,
  { clock, signal }: ProbeSite,
  work: () => Promise<T>,
): Promise<T> {
  const end = clock.now() + unansweredMs;
  const pause = backoff(clock, 250, 5_000);
  for (;;) {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof KubernetesError)) throw error;
      if (!error.transient || clock.now() >= end) throw new ProbeError(refusalText(what, error));
    }
    await clock.sleep(pause(), signal).catch((error: unknown) => {
      throw error instanceof Cancelled ? new ProbeStopped(stoppedText([])) : error;
    });
  }
}

function refusalText(what: string, { message, status }: KubernetesError): string {
  const hint =
    status === 403 || status === 401
      ? "The probe needs admin rights, which the stack's own kubeconfig has."
      : "Check the control planes and the kubeconfig.";
  return `the storage probe could not ${what}: ${message}. ${hint}`;
}

function stoppedText(left: readonly string[]): string {
  const rest =
    left.length === 0
      ? "everything that it created was removed"
      : `the cluster is still removing ${left.join(", ")}`;
  return `the storage probe was stopped; ${rest}`;
}
