import { isTransient, TalosError } from "../../talos/api/errors.ts";
import { ConfigTextError } from "../../talos/configTree.ts";
import { readImages, releaseOfImage } from "../../talos/kubernetesImages.ts";
import { kubernetesErrorCode } from "../codedFailure.ts";
import type { UpgradeContext } from "../context.ts";
import { backoff } from "../timeouts.ts";
import { NodeRebooted, UpgradeError } from "../errors.ts";
import { describeMachine, lacksOnlyServices, type NodeFacts } from "../facts.ts";
import { joinHints, joinProblems, waitLimit, type Finding } from "../guards/finding.ts";
import { kernelArgumentFindings } from "../guards/kernelArguments.ts";
import { secureBootFindings } from "../guards/secureBoot.ts";
import { releaseFindings } from "../guards/release.ts";
import { nodeLabel } from "../inputs.ts";
import { KubernetesError } from "../kubernetes.ts";
import { talosctlCommand } from "../talosctl.ts";
import { findDrainTarget } from "./drain.ts";

interface GuardOptions {
  survey?: boolean;
  isRefused?: () => boolean;
  onStray?: (finding: Finding) => void;
  kubernetes?: (runs?: string) => string | undefined;
}

/**
 * Step `guard`: everything that must hold before anything is prepared. All problems are reported at once. The gate checks again before each action.
 * @param survey the node is one of many that are only checked: a worker then skips its check of the control planes, since theirs reports the same once
 * @param isRefused returns true once the rollout is refused: waiting stops, and this node's current problems are reported with it
 * @param onStray if given, receives etcd members on no known control plane, which then don't block: for a preview, where nothing has been removed from the
 * cluster yet
 * @param kubernetes maps the running Kubernetes release to the one expected by then: for a check that precedes a Kubernetes upgrade
 */
export async function guard(
  context: UpgradeContext,
  facts: NodeFacts,
  {
    survey = false,
    isRefused = () => false,
    onStray,
    kubernetes: runsThen = (runs) => runs,
  }: GuardOptions = {},
): Promise<void> {
  const cluster = async (): Promise<readonly Finding[]> => {
    if (survey && context.wanted.role === "worker") return [];
    const findings = await context.gate.look({ kind: "restart", bootId: facts.bootId });
    if (onStray === undefined) return findings;
    const strays = findings.filter(({ stray }) => stray);
    strays.forEach(onStray);
    return findings.filter(({ stray, votes }) => !stray && !(votes && strays.length > 0));
  };
  let version: string | undefined;
  const live = await Promise.all([
    awaitFindingsPass(context, isRefused, async () => {
      const kubernetes = await kubernetesFindings(context, facts);
      version = kubernetes.version;
      return kubernetes.findings;
    }),
    awaitFindingsPass(context, isRefused, () => machineStateFindings(context)),
    awaitFindingsPass(context, isRefused, cluster),
    kernelArgumentStepFindings(context, facts),
    secureBootStepFindings(context),
  ]);
  const runs = version ?? (await readConfiguredKubernetes(context)) ?? context.wanted.kubernetesVersion;
  const findings = [...releaseFindings(facts.version, runsThen(runs), context.wanted), ...live.flat()];
  if (findings.length === 0) return;
  throw new UpgradeError(
    nodeLabel(context.wanted),
    "guard",
    joinProblems(findings),
    joinHints(findings),
    findings,
  );
}

/** If Kubernetes isn't asked: the release in a control plane's configuration. The release in the settings applies after the rollout. */
async function readConfiguredKubernetes({
  talos,
  wanted,
  timeouts,
  signal,
}: UpgradeContext): Promise<string | undefined> {
  if (wanted.role !== "controlplane") return undefined;
  try {
    const config = await talos.machineConfiguration({ deadlineMs: timeouts.probeMs, signal });
    return config === undefined ? undefined : releaseOfImage(readImages(config)["kube-apiserver"]);
  } catch (error) {
    if (error instanceof ConfigTextError) return undefined;
    if (!(error instanceof TalosError) || error.kind === "cancelled") throw error;
    // The reader role may not read it. Other reasons for a missing answer are found by the other checks.
    return undefined;
  }
}

/** No answer from a node that answered a moment ago. */
function throwRebootedIfTransient(error: unknown): never {
  throw isTransient(error) ? new NodeRebooted("the node stopped answering") : error;
}

/** Gives transient problems some time to clear, and recovering ones more. */
async function awaitFindingsPass(
  context: UpgradeContext,
  isRefused: () => boolean,
  look: () => Promise<readonly Finding[]>,
): Promise<readonly Finding[]> {
  const { clock, timeouts, signal, progress } = context;
  const begun = clock.now();
  const pause = backoff(clock, timeouts.pollMs, timeouts.pollMaxMs);
  for (;;) {
    const findings = await look();
    const left = begun + waitLimit(findings, timeouts) - clock.now();
    if (findings.length === 0 || left <= 0 || isRefused()) return findings;
    progress.detail(joinProblems(findings));
    await clock.sleep(Math.min(pause(), left), signal);
  }
}

async function machineStateFindings({ wanted, talos, timeouts, signal }: UpgradeContext): Promise<Finding[]> {
  const machine = await talos
    .machineStatus({ deadlineMs: timeouts.probeMs, signal })
    .catch(throwRebootedIfTransient);
  // It was running when it was inspected: a delayed request from an earlier run has arrived.
  if (machine.stage !== "running") throw new NodeRebooted(`the machine is ${machine.stage}`);
  // The upgrade fixes services that come with the image: a node where only they fail passes.
  if (machine.ready || lacksOnlyServices(machine, wanted.services)) return [];
  // Problems of static pods and the Node object have causes elsewhere, such as an API server that is down: a reboot doesn't help.
  const stopped = machine.unmet.some(({ name }) => name === "services")
    ? ` Services that a failed upgrade stopped come back with ${talosctlCommand("reboot", wanted.node)}.`
    : "";
  return [
    {
      code: "machine-not-ready",
      problem: `the node is ${describeMachine(machine)}`,
      hint: `Fix this first: an upgrade would hide the fault.${stopped} ${talosctlCommand("dmesg", wanted.node)} and ${talosctlCommand("services", wanted.node)} show what it waits for.`,
      mayPass: true,
      recovers: true,
    },
  ];
}

/** None of these clears by itself. */
async function kernelArgumentStepFindings(
  { wanted, talos, timeouts, signal }: UpgradeContext,
  { version }: NodeFacts,
): Promise<Finding[]> {
  return kernelArgumentFindings(wanted.node, talos, version, { deadlineMs: timeouts.probeMs, signal }).catch(
    throwRebootedIfTransient,
  );
}

async function secureBootStepFindings({
  wanted,
  talos,
  timeouts,
  signal,
}: UpgradeContext): Promise<Finding[]> {
  return secureBootFindings(wanted.image, talos, { deadlineMs: timeouts.probeMs, signal }).catch(
    throwRebootedIfTransient,
  );
}

/** The running version counts, not the one in the settings; if the drain needs the API, it must answer and know the node. */
async function kubernetesFindings(
  context: UpgradeContext,
  facts: NodeFacts,
): Promise<{ version?: string; findings: Finding[] }> {
  try {
    const kubernetes = await context.kubernetes();
    if (kubernetes === undefined) return { findings: [] };
    const version = await kubernetes.version();
    if (!context.wanted.drain.enabled) return { version, findings: [] };
    const target = findDrainTarget(await kubernetes.nodes(), facts.kubernetesNode, context.wanted.node);
    return { version, findings: target.state === "unknown" ? [target.finding] : [] };
  } catch (error) {
    if (!(error instanceof KubernetesError)) throw error;
    return {
      findings: [
        {
          code: kubernetesErrorCode(error),
          problem: `the Kubernetes API does not answer: ${error.message}`,
          hint: "It is needed to drain the node. Check the control planes and the kubeconfig.",
          mayPass: error.transient,
          recovers: true,
        },
      ],
    };
  }
}
