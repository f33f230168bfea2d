import type { Finding } from "../guards/finding.ts";
import type { KubernetesNode } from "../kubernetes.ts";

/**
 * What stands against a machine's joining under the name of a node that is there: kubelets of one name share one Node object, and each runs all of its pods. Two
 * machines would write to one volume.
 */
export function namesakeFindings(address: string, object: KubernetesNode | undefined): Finding[] {
  if (object?.ready !== true) return [];
  const { name, addresses } = object;
  return [
    {
      code: "node-name-taken",
      problem: `the machine at ${address} would join as ${name}, but Kubernetes already has a Ready node of that name (${addresses.join(", ")}): both machines would run its pods and write to its volumes`,
      hint: `Turn off or reset the other machine and run \`kubectl delete node ${name}\`, or change this one's name and hostname. Then run \`pulumi up\` again.`,
      // A kubelet that is gone shows within a minute.
      mayPass: true,
    },
  ];
}
