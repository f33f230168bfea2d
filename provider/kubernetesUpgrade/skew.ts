import type { ErrorCode } from "../../talos/errorCodes.ts";
import { compare, parse } from "semver";
import type { KubernetesComponent } from "../../talos/kubernetesImages.ts";
import type { Finding } from "../guards/finding.ts";
import { nodeLabel } from "../inputs.ts";
import { kubeletRelease, type ClusterLook, type NodeLook } from "./look.ts";

/** How many minor releases a component may be behind kube-apiserver (Kubernetes' version skew policy). None may be ahead. */
const allowedSkew: Readonly<Record<KubernetesComponent, number>> = {
  "kube-apiserver": 0,
  "kube-controller-manager": 1,
  "kube-scheduler": 1,
  "kube-proxy": 3,
  kubelet: 3,
};

/** Components that the upgrade doesn't change and that would be out of skew with the target kube-apiserver: pinned ones, and nodes outside the inputs. */
export function skewFindings({ nodes, strangers }: ClusterLook, target: string): Finding[] {
  return [
    ...nodes.flatMap((look) => [...pinnedFindings(look, target), ...unknownReleaseFindings(look)]),
    ...strangers.flatMap((stranger): Finding[] => {
      const { name, controlPlane } = stranger;
      if (controlPlane === true)
        return [
          {
            code: "kubernetes-skew",
            problem: `${name} is a control plane of this cluster, but not among its nodes here: its kube-apiserver would stay behind the kubelets`,
            hint: "Add it to cluster.nodes. If the machine is gone, delete its Node object (`kubectl delete node`).",
            mayPass: true,
          },
        ];
      const problem = skewProblem("kubelet", kubeletRelease(stranger), target);
      return problem === undefined
        ? []
        : [
            {
              code: "kubernetes-skew",
              problem: `${name} is a node of this cluster, but not among its nodes here: ${problem}`,
              hint: "Add it to cluster.nodes, or upgrade its kubelet first. If the machine is gone, delete its Node object (`kubectl delete node`).",
              mayPass: true,
            },
          ];
    }),
  ];
}

function pinnedFindings({ node, runs }: NodeLook, target: string): Finding[] {
  return node.pinned.flatMap((component): Finding[] => {
    const release = runs[component];
    if (component === "kube-apiserver")
      return (release ?? target) === target
        ? []
        : [
            permanentFinding(
              "kubernetes-skew",
              `${nodeLabel(node)}: a patch pins kube-apiserver to ${release ?? ""}, so it does not follow kubernetesVersion ${target}`,
              "Remove cluster.apiServer.image from the patches, or set it to the wanted release.",
            ),
          ];
    const problem = skewProblem(component, release, target);
    return problem === undefined
      ? []
      : [
          permanentFinding(
            "kubernetes-skew",
            `${nodeLabel(node)}: a patch pins ${component}: ${problem}`,
            "Remove the image from the patches, or set it to a release that is compatible with the wanted one.",
          ),
        ];
  });
}

/** Such a component may have any release, so its skew is unknown. */
function unknownReleaseFindings({ node, nameless }: NodeLook): Finding[] {
  return Object.entries(nameless).flatMap(([component, image]) =>
    node.pinned.includes(component as KubernetesComponent)
      ? []
      : [
          permanentFinding(
            "kubernetes-image-tag",
            `${nodeLabel(node)}: the image ${image} does not show which release of ${component} runs`,
            "Name the release in its tag (`…:v1.35.4@sha256:…`), on the node as it runs now, or pin the component with a patch.",
          ),
        ],
  );
}

function skewProblem(
  component: KubernetesComponent,
  release: string | undefined,
  target: string,
): string | undefined {
  const [is, wanted] = [parse(release), parse(target)];
  if (release === undefined || is === null || wanted === null) return undefined;
  const behind = wanted.minor - is.minor;
  if (behind < 0 || (behind === 0 && compare(is, wanted) > 0 && wanted.prerelease.length > 0))
    return `${component} ${release} is newer than kube-apiserver ${target}`;
  return behind > allowedSkew[component]
    ? `${component} ${release} is ${behind} minor releases behind kube-apiserver ${target}; Kubernetes supports at most ${allowedSkew[component]}`
    : undefined;
}

function permanentFinding(code: ErrorCode, problem: string, hint: string): Finding {
  return { code, problem, hint, mayPass: false };
}
