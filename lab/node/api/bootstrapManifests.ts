import { clusterSection, kubernetesImage } from "../machine/kubernetesImages.ts";
import type { MachineConfig } from "../machine/machineConfig.ts";
import type { ResourceContent } from "../machine/resourceContent.ts";
import { wireStruct } from "../machine/wireStruct.ts";

/** Some of the manifests that Talos creates for a new cluster: those that show a Kubernetes upgrade. */
export function bootstrapManifests(config: MachineConfig): ResourceContent[] {
  const proxy = clusterSection(config, "proxy");
  const labels = { tier: "node", "k8s-app": "kube-proxy" };
  const kubeProxy = {
    apiVersion: "apps/v1",
    kind: "DaemonSet",
    metadata: { name: "kube-proxy", namespace: "kube-system", labels },
    spec: {
      selector: { matchLabels: labels },
      template: {
        metadata: { labels },
        spec: {
          containers: [{ name: "kube-proxy", image: kubernetesImage(config, "kube-proxy", proxy) }],
          hostNetwork: true,
          serviceAccountName: "kube-proxy",
          tolerations: [{ effect: "NoSchedule", operator: "Exists" }],
        },
      },
    },
  };
  const account = {
    apiVersion: "v1",
    kind: "ServiceAccount",
    metadata: { name: "kube-proxy", namespace: "kube-system" },
  };
  return proxy?.["disabled"] === true
    ? []
    : [manifest("10-kube-proxy-account", account), manifest("11-kube-proxy", kubeProxy)];
}

const manifest = (id: string, object: object): ResourceContent => ({
  id,
  spec: [object],
  message: { items: [{ object: wireStruct(object) }] },
});
