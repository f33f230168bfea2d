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

/** The birth of a cluster: etcd's first member, on one control plane, once. Destroying it does nothing to the machine. */
export class Bootstrap extends pulumi.CustomResource {
  private static readonly __pulumiType = "talos:machine/bootstrap:Bootstrap";

  /** Stands for a Bootstrap that exists already; `state` narrows the look-up. */
  static get(
    name: string,
    id: pulumi.Input<pulumi.ID>,
    state?: BootstrapState,
    opts?: pulumi.CustomResourceOptions,
  ): Bootstrap {
    return new Bootstrap(name, state as BootstrapArgs, { ...opts, id });
  }

  /** Tells whether an object is a Bootstrap, also one from another copy of this package. */
  static override isInstance(obj: unknown): obj is Bootstrap {
    return hasType(obj, Bootstrap.__pulumiType);
  }

  /** The credentials to reach the control plane with. */
  declare readonly clientConfiguration: pulumi.Output<outputs.machine.ClientConfiguration | undefined>;
  /** The same, kept nowhere: never has a value. */
  declare readonly clientConfigurationWo: pulumi.Output<
    outputs.machine.BootstrapClientConfigurationWo | undefined
  >;
  /** Address that is connected to. */
  declare readonly endpoint: pulumi.Output<string>;
  /** The control plane to bootstrap. */
  declare readonly node: pulumi.Output<string>;
  /** How long the bootstrap may take. */
  declare readonly timeouts: pulumi.Output<outputs.machine.BootstrapTimeouts | undefined>;

  /**
   * @param name Unique among the stack's Bootstraps.
   * @param args Which control plane, and with which credentials.
   * @param opts Options that hold for every Pulumi resource.
   */
  constructor(name: string, args: BootstrapArgs, opts?: pulumi.CustomResourceOptions);
  constructor(name: string, given?: BootstrapArgs | BootstrapState, opts?: pulumi.CustomResourceOptions) {
    super(Bootstrap.__pulumiType, name, resourceProperties(shape, given, opts), resourceOptions(shape, opts));
  }
}

/** Known properties of a Bootstrap to look up. */
export interface BootstrapState {
  /** The credentials to reach the control plane with. */
  clientConfiguration?: pulumi.Input<inputs.machine.ClientConfiguration | undefined>;
  /** The same, kept nowhere. Secret. */
  clientConfigurationWo?: pulumi.Input<inputs.machine.BootstrapClientConfigurationWo | undefined>;
  /** Address that is connected to. */
  endpoint?: pulumi.Input<string | undefined>;
  /** The control plane to bootstrap. */
  node?: pulumi.Input<string | undefined>;
  /** How long the bootstrap may take. */
  timeouts?: pulumi.Input<inputs.machine.BootstrapTimeouts | undefined>;
}

/** What a {@link Bootstrap} takes: one of the two client configurations. */
export interface BootstrapArgs {
  /** The credentials to reach the control plane with. */
  clientConfiguration?: pulumi.Input<inputs.machine.ClientConfiguration | undefined>;
  /** Instead of `clientConfiguration`: the provider uses them and keeps them nowhere. Secret. */
  clientConfigurationWo?: pulumi.Input<inputs.machine.BootstrapClientConfigurationWo | undefined>;
  /** Address to connect to. Default: `node`. */
  endpoint?: pulumi.Input<string | undefined>;
  /** The control plane to bootstrap. */
  node: pulumi.Input<string>;
  /** How long the bootstrap may take. */
  timeouts?: pulumi.Input<inputs.machine.BootstrapTimeouts | undefined>;
}
