import * as pulumi from "@pulumi/pulumi";
import { hasType, resourceOptions, resourceProperties, type ResourceShape } from "../resource.ts";
import type * as inputs from "../types/input.ts";
import type * as outputs from "../types/output.ts";

const shape: ResourceShape<KubeconfigArgs, KubeconfigState> = {
  inputs: {
    certificateRenewalDuration: {},
    clientConfiguration: { required: true },
    endpoint: {},
    node: { required: true },
    timeouts: {},
  },
  computed: { kubeconfigRaw: { secret: true }, kubernetesClientConfiguration: {} },
};

/** The administrator's kubeconfig of a cluster, fetched from a control plane once it is bootstrapped. */
export class Kubeconfig extends pulumi.CustomResource {
  private static readonly __pulumiType = "talos:cluster/kubeconfig:Kubeconfig";

  /** Looks up an existing Kubeconfig; `state` narrows the lookup. */
  static get(
    name: string,
    id: pulumi.Input<pulumi.ID>,
    state?: KubeconfigState,
    opts?: pulumi.CustomResourceOptions,
  ): Kubeconfig {
    return new Kubeconfig(name, state as KubeconfigArgs, { ...opts, id });
  }

  /** Whether an object is a Kubeconfig, even from another copy of this package. */
  static override isInstance(obj: unknown): obj is Kubeconfig {
    return hasType(obj, Kubeconfig.__pulumiType);
  }

  /** How long before it expires the certificate is renewed, a Go duration. */
  declare readonly certificateRenewalDuration: pulumi.Output<string>;
  /** The credentials that fetch it. */
  declare readonly clientConfiguration: pulumi.Output<outputs.cluster.KubeconfigClientConfiguration>;
  /** The address to connect to. */
  declare readonly endpoint: pulumi.Output<string>;
  /** The kubeconfig, YAML. Secret. */
  declare readonly kubeconfigRaw: pulumi.Output<string>;
  /** The fields of the kubeconfig. */
  declare readonly kubernetesClientConfiguration: pulumi.Output<outputs.cluster.KubeconfigKubernetesClientConfiguration>;
  /** The control plane to query. */
  declare readonly node: pulumi.Output<string>;
  /** How long fetching and renewing may take. */
  declare readonly timeouts: pulumi.Output<outputs.cluster.KubeconfigTimeouts | undefined>;

  /**
   * @param name Unique among the stack's Kubeconfigs.
   * @param args Where to fetch it, and with which credentials.
   * @param opts Pulumi resource options.
   */
  constructor(name: string, args: KubeconfigArgs, opts?: pulumi.CustomResourceOptions);
  constructor(name: string, given?: KubeconfigArgs | KubeconfigState, opts?: pulumi.CustomResourceOptions) {
    super(
      Kubeconfig.__pulumiType,
      name,
      resourceProperties(shape, given, opts),
      resourceOptions(shape, opts),
    );
  }
}

/** Known properties of a Kubeconfig to look up. */
export interface KubeconfigState {
  /** How long before it expires the certificate is renewed, a Go duration. */
  certificateRenewalDuration?: pulumi.Input<string | undefined>;
  /** The credentials that fetch it. */
  clientConfiguration?: pulumi.Input<inputs.cluster.KubeconfigClientConfiguration | undefined>;
  /** The address to connect to. */
  endpoint?: pulumi.Input<string | undefined>;
  /** The kubeconfig, YAML. Secret. */
  kubeconfigRaw?: pulumi.Input<string | undefined>;
  /** The fields of the kubeconfig. */
  kubernetesClientConfiguration?: pulumi.Input<
    inputs.cluster.KubeconfigKubernetesClientConfiguration | undefined
  >;
  /** The control plane to query. */
  node?: pulumi.Input<string | undefined>;
  /** How long fetching and renewing may take. */
  timeouts?: pulumi.Input<inputs.cluster.KubeconfigTimeouts | undefined>;
}

/** What a {@link Kubeconfig} takes. */
export interface KubeconfigArgs {
  /** How long before it expires the certificate is renewed, a Go duration. Default `720h`. */
  certificateRenewalDuration?: pulumi.Input<string | undefined>;
  /** The credentials to fetch it with. */
  clientConfiguration: pulumi.Input<inputs.cluster.KubeconfigClientConfiguration>;
  /** Address to connect to. Default: `node`. */
  endpoint?: pulumi.Input<string | undefined>;
  /** The control plane to query. */
  node: pulumi.Input<string>;
  /** How long fetching and renewing may take. */
  timeouts?: pulumi.Input<inputs.cluster.KubeconfigTimeouts | undefined>;
}
