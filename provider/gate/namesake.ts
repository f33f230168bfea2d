import { joinProblems, type Finding } from "../guards/finding.ts";
import { KubernetesError, type KubernetesNode } from "../kubernetes.ts";
import { backoff } from "../timeouts.ts";
import { Refused } from "./refused.ts";
import { unsealClients } from "./sealedClients.ts";
import type { GateSite } from "./site.ts";

/**
 * Keeps a machine from joining under the name of an existing node: kubelets with the same name share one Node object, and each runs all of its pods. Two
 * machines would write to the same volume.
 */
function namesakeFindings(address: string, object: KubernetesNode | undefined): Finding[] {
  if (object?.ready !== true) return [];
  const { name, addresses } = object;
  return [
    {
      code: "node-name-taken",
      problem: `the machine at ${address} would join as ${name}, but Kubernetes already has a Ready node of that name (${addresses.join(", ")}): both machines would run its pods and write to its volumes`,
      hint: `Turn off or reset the other machine and run \`kubectl delete node ${name}\`, or change this one's name and hostname. Then run \`pulumi up\` again.`,
      // A dead kubelet shows within a minute.
      mayPass: true,
    },
  ];
}

/** Waits until Kubernetes has no Ready node of that name; a Kubernetes that doesn't answer has none. Throws `Refused`. */
export async function requireNoNamesake(site: GateSite, name: string | undefined): Promise<void> {
  const { acting, clock, kubeconfig, kubeconfigForLock, node, timeouts, signal, tell } = site;
  const given = name === undefined ? undefined : (kubeconfig ?? (await kubeconfigForLock?.()));
  if (name === undefined || given === undefined) return;
  const end = clock.now() + timeouts.certificateMs;
  const pause = backoff(clock, timeouts.pollMs, timeouts.pollMaxMs);
  try {
    const kubernetes = await unsealClients(acting).kubernetes(given);
    for (;;) {
      const findings = namesakeFindings(node.node, await kubernetes.node(name.toLowerCase()));
      if (findings.length === 0) return;
      if (clock.now() >= end) throw new Refused(findings);
      tell(`waiting: ${joinProblems(findings)}`);
      await clock.sleep(pause(), signal);
    }
  } catch (error) {
    // A cluster that is being bootstrapped has neither an API server nor nodes yet.
    if (!(error instanceof KubernetesError)) throw error;
    tell(`whether Kubernetes has a node ${name} is not known: ${error.message}`);
  }
}
