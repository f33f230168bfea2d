import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";

/** Arguments of a namespace for a driver installed by other means, such as a Helm chart. */
export interface PrivilegedNamespaceArgs {
  /** Name of the namespace, such as `longhorn-system`. */
  name: string;
  /** Further labels. Default: none. */
  labels?: Record<string, string> | undefined;
}

/**
 * A namespace in which PodSecurity admits any pod.
 *
 * It stays in the cluster when it is removed from the program, and on `pulumi destroy`: its contents, including volumes, belong to somebody else.
 */
export class PrivilegedNamespace extends pulumi.ComponentResource {
  /** Name of the namespace, known once it exists. */
  declare readonly namespace: pulumi.Output<string>;

  constructor(name: string, args: PrivilegedNamespaceArgs, opts?: pulumi.ComponentResourceOptions) {
    super("talos-iscsi:index:PrivilegedNamespace", name, args, opts);
    const namespace = new k8s.core.v1.Namespace(
      name,
      { metadata: { name: args.name, labels: { ...args.labels, ...privilegedLabels } } },
      { parent: this, retainOnDelete: true },
    );
    this.namespace = namespace.metadata.name;
    this.registerOutputs({ namespace: this.namespace });
  }
}

/** Labels that admit any pod: Talos enforces `baseline`. `audit` and `warn` are set too, otherwise every rollout warns. */
export const privilegedLabels: Readonly<Record<string, string>> = {
  ...Object.fromEntries(
    ["enforce", "audit", "warn"].flatMap((mode) => [
      [`pod-security.kubernetes.io/${mode}`, "privileged"],
      [`pod-security.kubernetes.io/${mode}-version`, "latest"],
    ]),
  ),
  "app.kubernetes.io/part-of": "talos-iscsi",
};
