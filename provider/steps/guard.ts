import { isTransient } from "../../talos/api/errors.ts";
import { failure, waitFor, type UpgradeContext } from "../context.ts";
import { NodeMoved, type StepName } from "../errors.ts";
import { describeMachine, lacksOnly, type NodeFacts } from "../facts.ts";
import type { Finding } from "../guards/finding.ts";
import { releaseFindings } from "../guards/release.ts";
import { KubernetesError } from "../kubernetes.ts";

/** Step `guard`: everything that must hold before anything is disturbed. All problems are told at once. */
export async function guard(context: UpgradeContext, facts: NodeFacts): Promise<void> {
  const [kubernetes, ...live] = await Promise.all([
    kubernetesVersion(context),
    settle(context, () => machineFindings(context)),
    settle(context, () => cluster(context, facts)),
  ]);
  const version = kubernetes.version ?? context.wanted.kubernetesVersion;
  refuse(context, "guard", [
    ...releaseFindings(facts.version, version, context.wanted),
    ...kubernetes.findings,
    ...live.flat(),
  ]);
}

/** No answer now, from a node that answered a moment ago. */
function movedIfAway(error: unknown): never {
  throw isTransient(error) ? new NodeMoved("the node stopped answering") : error;
}

function refuse(context: UpgradeContext, step: StepName, findings: Finding[]): void {
  if (findings.length === 0) return;
  throw failure(
    context,
    step,
    findings.map(({ problem }) => problem).join("; "),
    [...new Set(findings.map(({ hint }) => hint))].join(" "),
  );
}

/** Gives what may pass by itself some time to pass. */
async function settle(
  context: UpgradeContext,
  look: () => Promise<readonly Finding[]>,
): Promise<readonly Finding[]> {
  let findings: readonly Finding[] = [];
  await waitFor(context, context.clock.now() + context.patience.guardMs, async () => {
    findings = await look();
    if (findings.length > 0) context.progress.detail(findings.map(({ problem }) => problem).join("; "));
    return findings.every(({ mayPass }) => !mayPass) ? true : undefined;
  });
  return findings;
}

async function cluster({ gate }: UpgradeContext, { bootId }: NodeFacts): Promise<readonly Finding[]> {
  return gate.look({ kind: "restart", bootId });
}

async function machineFindings({ wanted, talos, patience, signal }: UpgradeContext): Promise<Finding[]> {
  const machine = await talos.machineStatus({ deadlineMs: patience.probeMs, signal }).catch(movedIfAway);
  // It was running when it was inspected: a request of an earlier run, that was on its way, has arrived.
  if (machine.stage !== "running") throw new NodeMoved(`the machine is ${machine.stage}`);
  // Services that come with the image are what the upgrade is there for: a node where only they fail is mended by it.
  if (machine.ready || lacksOnly(machine, wanted.services)) return [];
  return [
    {
      problem: `the node is ${describeMachine(machine)}`,
      hint: "Mend it first: an upgrade hides what is wrong with a node. Services that an upgrade has stopped before it failed come back with `talosctl reboot`.",
      mayPass: true,
    },
  ];
}

/** The version that really runs counts, not the one in the settings; where it is needed for the drain it has to answer. */
async function kubernetesVersion(
  context: UpgradeContext,
): Promise<{ version: string | undefined; findings: Finding[] }> {
  const kubernetes = await context.kubernetes();
  if (kubernetes === undefined) return { version: undefined, findings: [] };
  let last = "";
  const version = await waitFor(context, context.clock.now() + context.patience.guardMs, async () => {
    try {
      return await kubernetes.version();
    } catch (error) {
      if (!(error instanceof KubernetesError)) throw error;
      last = error.message;
      context.progress.detail(`the Kubernetes API does not answer: ${last}`);
      return undefined;
    }
  });
  if (version !== undefined) return { version, findings: [] };
  return {
    version: undefined,
    findings: [
      {
        problem: `the Kubernetes API does not answer: ${last}`,
        hint: "It is needed to drain the node. Check the control planes and the kubeconfig.",
        mayPass: true,
      },
    ],
  };
}
