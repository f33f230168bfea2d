import * as pulumi from "@pulumi/pulumi";
import { hasType, resourceOptions, resourceProperties, type ResourceShape } from "../resource.ts";
import type * as inputs from "../types/input.ts";
import type * as outputs from "../types/output.ts";

const shape: ResourceShape<BootstrapArgs, BootstrapState> = {
  inputs: {
    clientConfiguration: {},
    clientConfigurationWo: { secret: true },
    endpoint: {},
    node: { required: true },
    timeouts: {},
  },
  computed: {},
};

/** Bootstraps a cluster: starts etcd's first member, once, on one control plane. Destroying it does not affect the machine. */
export class Bootstrap extends pulumi.CustomResource {
  private static readonly __pulumiType = "talos:machine/bootstrap:Bootstrap";

  /** Looks up an existing Bootstrap; `state` narrows the lookup. */
  static get(
    name: string,
    id: pulumi.Input<pulumi.ID>,
    state?: BootstrapState,
    opts?: pulumi.CustomResourceOptions,
  ): Bootstrap {
    return new Bootstrap(name, state as BootstrapArgs, { ...opts, id });
  }

  /** Whether an object is a Bootstrap, even from another copy of this package. */
  static override isInstance(obj: unknown): obj is Bootstrap {
    return hasType(obj, Bootstrap.__pulumiType);
  }

  /** The credentials for the control plane. */
  declare readonly clientConfiguration: pulumi.Output<outputs.machine.ClientConfiguration | undefined>;
  /** Write-only: never has a value. */
  declare readonly clientConfigurationWo: pulumi.Output<
    outputs.machine.BootstrapClientConfigurationWo | undefined
  >;
  /** The address to connect to. */
  declare readonly endpoint: pulumi.Output<string>;
  /** The control plane to bootstrap. */
  declare readonly node: pulumi.Output<string>;
  /** How long the bootstrap may take. */
  declare readonly timeouts: pulumi.Output<outputs.machine.BootstrapTimeouts | undefined>;

  /**
   * @param name Unique among the stack's Bootstraps.
   * @param args Which control plane, and with which credentials.
   * @param opts Pulumi resource options.
   */
  constructor(name: string, args: BootstrapArgs, opts?: pulumi.CustomResourceOptions);
  constructor(name: string, given?: BootstrapArgs | BootstrapState, opts?: pulumi.CustomResourceOptions) {
    super(Bootstrap.__pulumiType, name, resourceProperties(shape, given, opts), resourceOptions(shape, opts));
  }
}

/** Known properties of a Bootstrap to look up. */
export interface BootstrapState {
  /** The credentials for the control plane. */
  clientConfiguration?: pulumi.Input<inputs.machine.ClientConfiguration | undefined>;
  /** The same, write-only. Secret. */
  clientConfigurationWo?: pulumi.Input<inputs.machine.BootstrapClientConfigurationWo | undefined>;
  /** The address to connect to. */
  endpoint?: pulumi.Input<string | undefined>;
  /** The control plane to bootstrap. */
  node?: pulumi.Input<string | undefined>;
  /** How long the bootstrap may take. */
  timeouts?: pulumi.Input<inputs.machine.BootstrapTimeouts | undefined>;
}

/** What a {@link Bootstrap} takes: one of the two client configurations. */
export interface BootstrapArgs {
  /** The credentials for the control plane. */
  clientConfiguration?: pulumi.Input<inputs.machine.ClientConfiguration | undefined>;
  /** Write-only alternative to `clientConfiguration`: the provider uses it and stores it nowhere. Secret. */
  clientConfigurationWo?: pulumi.Input<inputs.machine.BootstrapClientConfigurationWo | undefined>;
  /** Address to connect to. Default: `node`. */
  endpoint?: pulumi.Input<string | undefined>;
  /** The control plane to bootstrap. */
  node: pulumi.Input<string>;
  /** How long the bootstrap may take. */
  timeouts?: pulumi.Input<inputs.machine.BootstrapTimeouts | undefined>;
}
