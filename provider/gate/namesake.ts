import type { Finding } from "../guards/finding.ts";
import type { KubernetesNode } from "../kubernetes.ts";

/**
 * Keeps a machine from joining under the name of an existing node: kubelets with the same name share one Node object, and each runs all of its pods. Two
 * machines would write to the same volume.
 */
export function namesakeFindings(address: string, object: KubernetesNode | undefined): Finding[] {
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
