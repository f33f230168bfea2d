import * as pulumi from "@pulumi/pulumi";
import { hasType, resourceOptions, resourceProperties, type ResourceShape } from "../resource.ts";
import type * as inputs from "../types/input.ts";
import type * as outputs from "../types/output.ts";

const shape: ResourceShape<SecretsArgs, SecretsState> = {
  inputs: { talosVersion: {} },
  computed: { clientConfiguration: {}, machineSecrets: {} },
};

/**
 * The secrets of a new cluster and an administrator's credentials for it, made by the provider and kept in the stack's
 * state. The secrets of a cluster that exists can be imported: the ID is then the path of its secrets bundle.
 *
 * The provider marks the secret fields inside the two outputs itself.
 *
 * @example
 * const secrets = new talos.machine.Secrets("cluster", { talosVersion: "v1.13" });
 */
export class Secrets extends pulumi.CustomResource {
  private static readonly __pulumiType = "talos:machine/secrets:Secrets";

  /** Stands for Secrets that exist already; `state` narrows the look-up. */
  static get(
    name: string,
    id: pulumi.Input<pulumi.ID>,
    state?: SecretsState,
    opts?: pulumi.CustomResourceOptions,
  ): Secrets {
    return new Secrets(name, state, { ...opts, id });
  }

  /** Tells whether an object is a Secrets resource, also one from another copy of this package. */
  static override isInstance(obj: unknown): obj is Secrets {
    return hasType(obj, Secrets.__pulumiType);
  }

  /** An administrator's credentials for the Talos API. */
  declare readonly clientConfiguration: pulumi.Output<outputs.machine.ClientConfiguration>;
  /** The secrets bundle. */
  declare readonly machineSecrets: pulumi.Output<outputs.machine.MachineSecrets>;
  /** The version contract that the secrets were made for. */
  declare readonly talosVersion: pulumi.Output<string>;

  /**
   * @param name Unique among the stack's Secrets.
   * @param args What the secrets are for.
   * @param opts Options that hold for every Pulumi resource.
   */
  constructor(name: string, args?: SecretsArgs, opts?: pulumi.CustomResourceOptions);
  constructor(name: string, given?: SecretsArgs | SecretsState, opts?: pulumi.CustomResourceOptions) {
    super(Secrets.__pulumiType, name, resourceProperties(shape, given, opts), resourceOptions(shape, opts));
  }
}

/** Known properties of Secrets to look up. */
export interface SecretsState {
  /** An administrator's credentials for the Talos API. */
  clientConfiguration?: pulumi.Input<inputs.machine.ClientConfiguration | undefined>;
  /** The secrets bundle. */
  machineSecrets?: pulumi.Input<inputs.machine.MachineSecretsArgs | undefined>;
  /** The version contract that the secrets were made for. */
  talosVersion?: pulumi.Input<string | undefined>;
}

/** What {@link Secrets} take. */
export interface SecretsArgs {
  /** The version contract to make them for, for example `v1.13`. Default: the provider's own Talos version. */
  talosVersion?: pulumi.Input<string | undefined>;
}
