import { coded, type CodedText } from "../../talos/errorCodes.ts";
import { codedFailure, reportHint } from "../codedFailure.ts";
import { kubernetesReleasesBetween } from "../../talos/kubernetesPath.ts";
import { releaseOfImage, staticPodComponents } from "../../talos/kubernetesImages.ts";
import { throwIfCancelled } from "../context.ts";
import { Cancelled, EngineGone, NodeRebooted, UpgradeError } from "../errors.ts";
import { NotRecovered, Refused } from "../gate/refused.ts";
import type { Finding } from "../guards/finding.ts";
import { KubernetesError } from "../kubernetes.ts";
import { upgradeKubelet, undrainedFindings } from "./kubelets.ts";
import type { KubernetesUpgradeInputs } from "./inputs.ts";
import {
  nodeComponents,
  isAtRelease,
  lookAtCluster,
  releasesIn,
  silentText,
  type ClusterLook,
} from "./look.ts";
import { applyManifests, manifestFindings, setProxyRelease } from "./manifests.ts";
import { prePullImages, tryImagesOnTheWay } from "./prePull.ts";
import { compareReleases, minorOf, removedApisInUse, stepFindings } from "./releases.ts";
import { upgradeStaticPod } from "./staticPods.ts";
import { KubernetesUpgradeError, OutsideWindow, refusedError, type Work } from "./work.ts";

/** How an upgrade ended. The caller reads what runs then. */
export type Outcome =
  | { ok: true; /** Why the rest waits; absent if all of it is done. */ postponed?: string }
  | {
      ok: false;
      error: Error;
      /** What happened to the node it ended at. */ notes: readonly string[];
    };

/**
 * Upgrades a cluster to the target Kubernetes, or finds it there: API servers one at a time, controller managers, schedulers, kube-proxy and the other
 * bootstrap manifests, then the kubelets. Each part first checks what runs, so it can be called again after any failure. Cluster failures are returned, never
 * thrown.
 * @param isUnfinished an earlier upgrade failed: its manifests may be missing although every component runs the release
 */
async function upgradeKubernetes(work: Work, isUnfinished = false): Promise<Outcome> {
  const { inputs } = work;
  try {
    const look = await lookAtCluster(work.nodes);
    await requireNoObstacle(work, look);
    requirePlanApproval(work, look);
    const [first] = work.controlPlanes;
    // A setting updated to match what runs changes nothing, not even the manifests of a manually upgraded cluster.
    const isThere = isAtRelease(look, inputs.kubernetesVersion) && !isUnfinished;
    if (first !== undefined && !isThere) {
      await work.requireOpen(first);
      if (inputs.prePull) await prePullImages(work, look.nodes);
    }
    for (const component of staticPodComponents) {
      for (const one of work.controlPlanes) {
        throwIfCancelled(work);
        await upgradeStaticPod(work, one, component);
      }
    }
    throwIfCancelled(work);
    await setProxyRelease(work);
    throwIfCancelled(work);
    if (!isThere) await applyManifests(work, look);
    for (const one of work.nodes) {
      throwIfCancelled(work);
      await upgradeKubelet(work, one);
    }
    return { ok: true };
  } catch (error) {
    if (error instanceof OutsideWindow && inputs.rollout.outsideWindow === "stop")
      return {
        ok: true,
        postponed: `${error.message}. The next \`pulumi up\` in a window continues.`,
      };
    const failure = toUpgradeError(work, error);
    return { ok: false, error: failure, notes: work.notes };
  }
}

/**
 * The same for a cluster more than one minor release behind: a complete upgrade to each release of `inputs.through` in between. What runs shows the progress,
 * so it continues from there after any failure.
 * @param open opens a work for another release
 */
export async function upgradeThroughMinors(
  { kubernetesVersion, through }: Pick<KubernetesUpgradeInputs, "kubernetesVersion" | "through">,
  open: (release: string) => Promise<Work>,
  isUnfinished = false,
): Promise<Outcome> {
  for (let done: string[] = []; ;) {
    const last = await open(kubernetesVersion);
    let next: string;
    try {
      const look = await lookAtCluster(last.nodes);
      const oldest = releasesIn(look)[0] ?? kubernetesVersion;
      const way = kubernetesReleasesBetween(oldest, kubernetesVersion, through) ?? [kubernetesVersion];
      next = nextRelease(way[0] ?? kubernetesVersion, kubernetesVersion, look);
      if (next === kubernetesVersion) return await upgradeKubernetes(last, isUnfinished);
      if (done.includes(next))
        throw new KubernetesUpgradeError(
          `Kubernetes ${next}`,
          coded("kubernetes-not-running", `a component still runs ${oldest} after the upgrade`),
          retryHint,
        );
      // Don't start a path that would stop halfway.
      await requireNoObstacle(last, look);
      requirePlanApproval(last, look);
      if (done.length === 0) await tryImagesOnTheWay(last, look.nodes, [next, ...way.slice(1)]);
    } catch (error) {
      return { ok: false, error: toUpgradeError(last, error), notes: last.notes };
    } finally {
      last.close();
    }
    const work = await open(next);
    try {
      const outcome = await upgradeKubernetes(work);
      if (!outcome.ok || outcome.postponed !== undefined) return outcome;
      done = [...done, next];
    } finally {
      work.close();
    }
  }
}

/**
 * The next release on the path, or a newer patch of it that some component already runs: nothing goes back on the way. The target release is never replaced.
 */
function nextRelease(next: string, wanted: string, look: ClusterLook): string {
  if (next === wanted) return next;
  const there = releasesIn(look).filter((release) => minorOf(release) === minorOf(next));
  return [...there, next].sort(compareReleases).at(-1) ?? next;
}

/** Checks everything that blocks the upgrade before anything is changed. Throws one KubernetesUpgradeError with all of it. */
async function requireNoObstacle(work: Work, look: ClusterLook): Promise<void> {
  const findings = await findObstacles(work, look, false);
  if (look.silent.length > 0)
    findings.push({
      code: "node-unreachable",
      problem: `not every node answers (${silentText(look)})`,
      hint: "An upgrade starts only when all nodes can be read.",
      mayPass: true,
    });
  if (findings.length > 0) throw refusedError(work, findings);
}

/** Checks that the approved plan includes the change of every node, before images are pulled or nodes are drained. */
function requirePlanApproval({ nodes, inputs }: Work, look: ClusterLook): void {
  const behind = new Set(
    look.nodes
      .filter((one) =>
        nodeComponents(one).some(
          (component) =>
            one.images[component] !== undefined &&
            !one.node.pinned.includes(component) &&
            releaseOfImage(one.images[component]) !== inputs.kubernetesVersion,
        ),
      )
      .map(({ node }) => node.name),
  );
  const findings = nodes.flatMap(({ node, context }) => {
    if (!behind.has(node.name)) return [];
    try {
      context.gate.requireApproval("kubernetes");
      return [];
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      return error.findings;
    }
  });
  if (findings.length > 0) throw new Refused(findings);
}

/**
 * What blocks the upgrade, as far as it is known now.
 * @param planned the nodes' Talos will be upgraded first
 */
export async function findObstacles(work: Work, look: ClusterLook, planned: boolean): Promise<Finding[]> {
  const { inputs } = work;
  const findings = stepFindings(look, inputs, planned);
  if (isAtRelease(look, inputs.kubernetesVersion)) return findings;
  findings.push(...(await manifestFindings(work, look, planned)), ...(await undrainedFindings(work, look)));
  if (inputs.acceptRemovedApis) return findings;
  if (inputs.removedObjects.length > 0)
    findings.push({
      code: "kubernetes-removed-apis",
      problem: `this stack uses APIs that ${inputs.kubernetesVersion} does not have: ${inputs.removedObjects.join(", ")}`,
      hint: "Declare them with the newer API first, or accept it with upgrade.kubernetes.acceptRemovedApis.",
      mayPass: false,
    });
  const [first] = work.controlPlanes;
  try {
    const apis = (await (await first?.context.kubernetes())?.deprecatedApis()) ?? [];
    const used = removedApisInUse(apis, inputs.kubernetesVersion);
    if (used.length > 0)
      findings.push({
        code: "kubernetes-removed-apis",
        problem: `something still uses APIs that ${inputs.kubernetesVersion} does not have: ${used.join(", ")}`,
        hint: "Find the clients that use them (in the audit log) and move them to the newer API, or accept it with upgrade.kubernetes.acceptRemovedApis.",
        mayPass: false,
      });
  } catch (error) {
    if (!(error instanceof KubernetesError)) throw error;
    findings.push({
      code: "kubernetes-access",
      problem: `could not determine whether removed APIs are still in use: ${error.message}`,
      hint: "The kubeconfig needs permission to read /metrics of kube-apiserver; upgrade.kubernetes.acceptRemovedApis skips this check.",
      mayPass: true,
    });
  }
  return findings;
}

const retryHint = "Fix this, then run `pulumi up` again: it continues from here.";

/** Turns any error into a user-facing one: where, what was seen, and what to do. */
function toUpgradeError(work: Work, error: unknown): Error {
  if (error instanceof KubernetesUpgradeError || error instanceof UpgradeError) return error;
  const failed = (seen: CodedText, hint: string): Error =>
    new KubernetesUpgradeError(work.place, seen, hint, { cause: error });
  if (error instanceof OutsideWindow)
    return failed(coded("upgrade-window", error.message), "Run `pulumi up` again when a window is open.");
  if (error instanceof Refused) return failed(error.problems, `${error.hint} ${retryHint}`);
  if (error instanceof NotRecovered) return failed(error.text, `${error.hint} ${retryHint}`);
  if (error instanceof Cancelled || work.signal.aborted)
    return failed(coded("cancelled", "cancelled"), "The next `pulumi up` continues from here.");
  if (error instanceof NodeRebooted) return failed(coded("node-keeps-restarting", error.message), retryHint);
  if (error instanceof EngineGone) return failed(coded("cancelled", error.message), retryHint);
  return failed(codedFailure(error), `${retryHint}${reportHint(error)}`);
}
