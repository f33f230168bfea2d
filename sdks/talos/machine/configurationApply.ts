import * as pulumi from "@pulumi/pulumi";
import { hasType, resourceOptions, resourceProperties, type ResourceShape } from "../resource.ts";
import type * as inputs from "../types/input.ts";
import type * as outputs from "../types/output.ts";

const shape: ResourceShape<ConfigurationApplyArgs, ConfigurationApplyState> = {
  inputs: {
    applyMode: {},
    clientConfiguration: {},
    clientConfigurationWo: { secret: true },
    configPatches: {},
    endpoint: {},
    machineConfigurationInput: { secret: true },
    machineConfigurationInputWo: { secret: true },
    node: { required: true },
    onDestroy: {},
    timeouts: {},
  },
  computed: { machineConfiguration: { secret: true }, machineConfigurationHash: {}, resolvedApplyMode: {} },
};

/** A machine's configuration, applied: to a machine in maintenance mode without credentials, later with them. */
export class ConfigurationApply extends pulumi.CustomResource {
  private static readonly __pulumiType = "talos:machine/configurationApply:ConfigurationApply";

  /** Stands for a ConfigurationApply that exists already; `state` narrows the look-up. */
  static get(
    name: string,
    id: pulumi.Input<pulumi.ID>,
    state?: ConfigurationApplyState,
    opts?: pulumi.CustomResourceOptions,
  ): ConfigurationApply {
    return new ConfigurationApply(name, state as ConfigurationApplyArgs, { ...opts, id });
  }

  /** Tells whether an object is a ConfigurationApply, also one from another copy of this package. */
  static override isInstance(obj: unknown): obj is ConfigurationApply {
    return hasType(obj, ConfigurationApply.__pulumiType);
  }

  /** How it was asked to be applied. */
  declare readonly applyMode: pulumi.Output<string>;
  /** The credentials to reach the machine with. */
  declare readonly clientConfiguration: pulumi.Output<outputs.machine.ClientConfiguration | undefined>;
  /** The same, kept nowhere: never has a value. */
  declare readonly clientConfigurationWo: pulumi.Output<
    outputs.machine.ConfigurationApplyClientConfigurationWo | undefined
  >;
  /** Patches on top of the configuration, YAML. */
  declare readonly configPatches: pulumi.Output<string[] | undefined>;
  /** Address that is connected to. */
  declare readonly endpoint: pulumi.Output<string>;
  /** The configuration as applied, patches included, YAML. Secret. */
  declare readonly machineConfiguration: pulumi.Output<string>;
  /** SHA-256 of the configuration as applied, hex. Shows a change of the configuration that is kept nowhere. */
  declare readonly machineConfigurationHash: pulumi.Output<string>;
  /** The configuration before the patches, YAML. Secret. */
  declare readonly machineConfigurationInput: pulumi.Output<string | undefined>;
  /** The same, kept nowhere: never has a value. */
  declare readonly machineConfigurationInputWo: pulumi.Output<string | undefined>;
  /** The machine. */
  declare readonly node: pulumi.Output<string>;
  /** What happens to the machine when this resource is destroyed. */
  declare readonly onDestroy: pulumi.Output<outputs.machine.ConfigurationApplyOnDestroy | undefined>;
  /** How it was applied: `auto` or `staged` where `applyMode` leaves the choice to a dry run, else `applyMode`. */
  declare readonly resolvedApplyMode: pulumi.Output<string>;
  /** How long each operation may take. */
  declare readonly timeouts: pulumi.Output<outputs.machine.Timeout | undefined>;

  /**
   * @param name Unique among the stack's ConfigurationApplys.
   * @param args Which machine, which configuration, and with which credentials.
   * @param opts Options that hold for every Pulumi resource.
   */
  constructor(name: string, args: ConfigurationApplyArgs, opts?: pulumi.CustomResourceOptions);
  constructor(
    name: string,
    given?: ConfigurationApplyArgs | ConfigurationApplyState,
    opts?: pulumi.CustomResourceOptions,
  ) {
    super(
      ConfigurationApply.__pulumiType,
      name,
      resourceProperties(shape, given, opts),
      resourceOptions(shape, opts),
    );
  }
}

/** Known properties of a ConfigurationApply to look up. */
export interface ConfigurationApplyState {
  /** How it was asked to be applied. */
  applyMode?: pulumi.Input<string | undefined>;
  /** The credentials to reach the machine with. */
  clientConfiguration?: pulumi.Input<inputs.machine.ClientConfiguration | undefined>;
  /** The same, kept nowhere. Secret. */
  clientConfigurationWo?: pulumi.Input<inputs.machine.ConfigurationApplyClientConfigurationWo | undefined>;
  /** Patches on top of the configuration, YAML. */
  configPatches?: pulumi.Input<pulumi.Input<string>[] | undefined>;
  /** Address that is connected to. */
  endpoint?: pulumi.Input<string | undefined>;
  /** The configuration as applied, patches included, YAML. Secret. */
  machineConfiguration?: pulumi.Input<string | undefined>;
  /** SHA-256 of the configuration as applied, hex. */
  machineConfigurationHash?: pulumi.Input<string | undefined>;
  /** The configuration before the patches, YAML. Secret. */
  machineConfigurationInput?: pulumi.Input<string | undefined>;
  /** The same, kept nowhere. Secret. */
  machineConfigurationInputWo?: pulumi.Input<string | undefined>;
  /** The machine. */
  node?: pulumi.Input<string | undefined>;
  /** What happens to the machine when this resource is destroyed. */
  onDestroy?: pulumi.Input<inputs.machine.ConfigurationApplyOnDestroy | undefined>;
  /** How it was applied. */
  resolvedApplyMode?: pulumi.Input<string | undefined>;
  /** How long each operation may take. */
  timeouts?: pulumi.Input<inputs.machine.Timeout | undefined>;
}

/** What a {@link ConfigurationApply} takes: one of the two credentials and one of the two configurations. */
export interface ConfigurationApplyArgs {
  /**
   * `auto` (reboots where it must), `reboot`, `no_reboot`, `staged` (from the next reboot on), or
   * `staged_if_needing_reboot`: a dry run decides between `auto` and `staged`. Default `auto`.
   */
  applyMode?: pulumi.Input<string | undefined>;
  /** The credentials to reach the machine with. */
  clientConfiguration?: pulumi.Input<inputs.machine.ClientConfiguration | undefined>;
  /** Instead of `clientConfiguration`: the provider uses them and keeps them nowhere. Secret. */
  clientConfigurationWo?: pulumi.Input<inputs.machine.ConfigurationApplyClientConfigurationWo | undefined>;
  /** Patches on top of the configuration, each YAML (strategic merge) or JSON (RFC 6902). */
  configPatches?: pulumi.Input<pulumi.Input<string>[] | undefined>;
  /** Address to connect to. Default: `node`. */
  endpoint?: pulumi.Input<string | undefined>;
  /** The configuration, YAML. Secret. */
  machineConfigurationInput?: pulumi.Input<string | undefined>;
  /** Instead of `machineConfigurationInput`: the provider uses it and keeps it nowhere. Secret. */
  machineConfigurationInputWo?: pulumi.Input<string | undefined>;
  /** The machine. */
  node: pulumi.Input<string>;
  /** What happens to the machine when this resource is destroyed. Default: nothing. */
  onDestroy?: pulumi.Input<inputs.machine.ConfigurationApplyOnDestroy | undefined>;
  /** How long each operation may take. */
  timeouts?: pulumi.Input<inputs.machine.Timeout | undefined>;
}
