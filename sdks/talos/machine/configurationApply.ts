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

/** Applies a machine's configuration: without credentials to a machine in maintenance mode, later with them. */
export class ConfigurationApply extends pulumi.CustomResource {
  private static readonly __pulumiType = "talos:machine/configurationApply:ConfigurationApply";

  /** Looks up an existing ConfigurationApply; `state` narrows the lookup. */
  static get(
    name: string,
    id: pulumi.Input<pulumi.ID>,
    state?: ConfigurationApplyState,
    opts?: pulumi.CustomResourceOptions,
  ): ConfigurationApply {
    return new ConfigurationApply(name, state as ConfigurationApplyArgs, { ...opts, id });
  }

  /** Whether an object is a ConfigurationApply, even from another copy of this package. */
  static override isInstance(obj: unknown): obj is ConfigurationApply {
    return hasType(obj, ConfigurationApply.__pulumiType);
  }

  /** The requested apply mode. */
  declare readonly applyMode: pulumi.Output<string>;
  /** The credentials for the machine. */
  declare readonly clientConfiguration: pulumi.Output<outputs.machine.ClientConfiguration | undefined>;
  /** Write-only: never has a value. */
  declare readonly clientConfigurationWo: pulumi.Output<
    outputs.machine.ConfigurationApplyClientConfigurationWo | undefined
  >;
  /** Patches on top of the configuration, YAML. */
  declare readonly configPatches: pulumi.Output<string[] | undefined>;
  /** The address to connect to. */
  declare readonly endpoint: pulumi.Output<string>;
  /** The configuration as applied, patches included, YAML. Secret. */
  declare readonly machineConfiguration: pulumi.Output<string>;
  /** SHA-256 of the configuration as applied, hex. Shows that a write-only configuration changed. */
  declare readonly machineConfigurationHash: pulumi.Output<string>;
  /** The configuration before the patches, YAML. Secret. */
  declare readonly machineConfigurationInput: pulumi.Output<string | undefined>;
  /** Write-only: never has a value. */
  declare readonly machineConfigurationInputWo: pulumi.Output<string | undefined>;
  /** The machine. */
  declare readonly node: pulumi.Output<string>;
  /** What happens to the machine when this resource is destroyed. */
  declare readonly onDestroy: pulumi.Output<outputs.machine.ConfigurationApplyOnDestroy | undefined>;
  /** The effective apply mode: `auto` or `staged` if `applyMode` lets a dry run decide, otherwise `applyMode`. */
  declare readonly resolvedApplyMode: pulumi.Output<string>;
  /** How long each operation may take. */
  declare readonly timeouts: pulumi.Output<outputs.machine.Timeout | undefined>;

  /**
   * @param name Unique among the stack's ConfigurationApplys.
   * @param args Which machine, which configuration, and with which credentials.
   * @param opts Pulumi resource options.
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
  /** The requested apply mode. */
  applyMode?: pulumi.Input<string | undefined>;
  /** The credentials for the machine. */
  clientConfiguration?: pulumi.Input<inputs.machine.ClientConfiguration | undefined>;
  /** The same, write-only. Secret. */
  clientConfigurationWo?: pulumi.Input<inputs.machine.ConfigurationApplyClientConfigurationWo | undefined>;
  /** Patches on top of the configuration, YAML. */
  configPatches?: pulumi.Input<pulumi.Input<string>[] | undefined>;
  /** The address to connect to. */
  endpoint?: pulumi.Input<string | undefined>;
  /** The configuration as applied, patches included, YAML. Secret. */
  machineConfiguration?: pulumi.Input<string | undefined>;
  /** SHA-256 of the configuration as applied, hex. */
  machineConfigurationHash?: pulumi.Input<string | undefined>;
  /** The configuration before the patches, YAML. Secret. */
  machineConfigurationInput?: pulumi.Input<string | undefined>;
  /** The same, write-only. Secret. */
  machineConfigurationInputWo?: pulumi.Input<string | undefined>;
  /** The machine. */
  node?: pulumi.Input<string | undefined>;
  /** What happens to the machine when this resource is destroyed. */
  onDestroy?: pulumi.Input<inputs.machine.ConfigurationApplyOnDestroy | undefined>;
  /** The effective apply mode. */
  resolvedApplyMode?: pulumi.Input<string | undefined>;
  /** How long each operation may take. */
  timeouts?: pulumi.Input<inputs.machine.Timeout | undefined>;
}

/** What a {@link ConfigurationApply} takes: one of the two credentials and one of the two configurations. */
export interface ConfigurationApplyArgs {
  /**
   * `auto` (reboots if necessary), `reboot`, `no_reboot`, `staged` (takes effect at the next reboot), or
   * `staged_if_needing_reboot`: a dry run decides between `auto` and `staged`. Default `auto`.
   */
  applyMode?: pulumi.Input<string | undefined>;
  /** The credentials for the machine. */
  clientConfiguration?: pulumi.Input<inputs.machine.ClientConfiguration | undefined>;
  /** Write-only alternative to `clientConfiguration`: the provider uses it and stores it nowhere. Secret. */
  clientConfigurationWo?: pulumi.Input<inputs.machine.ConfigurationApplyClientConfigurationWo | undefined>;
  /** Patches on top of the configuration, each YAML (strategic merge) or JSON (RFC 6902). */
  configPatches?: pulumi.Input<pulumi.Input<string>[] | undefined>;
  /** Address to connect to. Default: `node`. */
  endpoint?: pulumi.Input<string | undefined>;
  /** The configuration, YAML. Secret. */
  machineConfigurationInput?: pulumi.Input<string | undefined>;
  /** Write-only alternative to `machineConfigurationInput`: the provider uses it and stores it nowhere. Secret. */
  machineConfigurationInputWo?: pulumi.Input<string | undefined>;
  /** The machine. */
  node: pulumi.Input<string>;
  /** What happens to the machine when this resource is destroyed. Default: nothing. */
  onDestroy?: pulumi.Input<inputs.machine.ConfigurationApplyOnDestroy | undefined>;
  /** How long each operation may take. */
  timeouts?: pulumi.Input<inputs.machine.Timeout | undefined>;
}
