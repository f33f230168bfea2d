import {
  KubeConfig,
  KubernetesObjectApi,
  type KubernetesObject,
  PatchStrategy,
} from "@kubernetes/client-node";

/** Creates what Talos itself puts into a new cluster so that kubelets can join: the bootstrap token and its permissions. */
export async function applySystemObjects(kubeconfig: string, bootstrapToken: string): Promise<void> {
  const config = new KubeConfig();
  config.loadFromString(kubeconfig);
  const api = KubernetesObjectApi.makeApiClient(config);
  await Promise.all(
    systemObjects(bootstrapToken).map(async (object) =>
      api.patch(object, undefined, undefined, "talos", true, PatchStrategy.ServerSideApply),
    ),
  );
}

function systemObjects(bootstrapToken: string): KubernetesObject[] {
  const [id = "", secret = ""] = bootstrapToken.split(".");
  const token = {
    apiVersion: "v1",
    kind: "Secret",
    metadata: { name: `bootstrap-token-${id}`, namespace: "kube-system" },
    type: "bootstrap.kubernetes.io/token",
    stringData: { "token-id": id, "token-secret": secret, "usage-bootstrap-authentication": "true" },
  };
  const bind = (name: string, role: string, groups: string[]) => ({
    apiVersion: "rbac.authorization.k8s.io/v1",
    kind: "ClusterRoleBinding",
    metadata: { name },
    roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: role },
    subjects: groups.map((group) => ({ apiGroup: "rbac.authorization.k8s.io", kind: "Group", name: group })),
  });
  const csr = "system:certificates.k8s.io:certificatesigningrequests";
  return [
    token,
    bind("system-bootstrap-node-bootstrapper", "system:node-bootstrapper", [
      "system:bootstrappers",
      "system:nodes",
    ]),
    bind("system-bootstrap-approve-node-client-csr", `${csr}:nodeclient`, ["system:bootstrappers"]),
    bind("system-bootstrap-node-renewal", `${csr}:selfnodeclient`, ["system:nodes"]),
  ];
}
