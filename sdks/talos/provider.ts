import * as pulumi from "@pulumi/pulumi";
import { plugin, withPlugin } from "./plugin.ts";
import { hasType } from "./resource.ts";

/**
 * A configured instance of the Talos provider. Only needed if some resources use other settings than those the stack's
 * configuration (`talos:…`) gives the default provider.
 */
export class Provider extends pulumi.ProviderResource {
  private static readonly __pulumiType = "talos";

  /** Whether an object is a Talos provider, even from another copy of this package. */
  static override isInstance(obj: unknown): obj is Provider {
    return hasType(obj, `pulumi:providers:${Provider.__pulumiType}`);
  }

  /** The Image Factory that the provider talks to. */
  declare readonly imageFactoryUrl: pulumi.Output<string | undefined>;

  /**
   * @param name Unique among the stack's Talos providers.
   * @param args The provider's settings.
   * @param opts Pulumi resource options.
   */
  constructor(name: string, args?: ProviderArgs, opts?: pulumi.ResourceOptions) {
    super(Provider.__pulumiType, name, { imageFactoryUrl: args?.imageFactoryUrl }, withPlugin(opts));
  }

  /** The settings under their Terraform names, for a Terraform module that Pulumi runs. */
  terraformConfig(): pulumi.Output<Provider.TerraformConfigResult> {
    return pulumi.runtime.call("pulumi:providers:talos/terraformConfig", { __self__: this }, this);
  }
}

/** The settings of a Talos provider. */
export interface ProviderArgs {
  /** The Image Factory to talk to. Default: the public one, `https://factory.talos.dev`. */
  imageFactoryUrl?: pulumi.Input<string | undefined>;
}

// The published SDK nests this type in the class. TypeScript can only express that with a namespace. It contains no values.
// eslint-disable-next-line @typescript-eslint/no-namespace
export declare namespace Provider {
  /** What {@link Provider.terraformConfig} returns. */
  export interface TerraformConfigResult {
    /** The settings by name, in snake case. The published SDK has `any` here; code written for `unknown` works with both. */
    readonly result: { [key: string]: unknown };
  }
}

pulumi.runtime.registerResourcePackage(plugin.name, {
  version: plugin.version,
  constructProvider(name, type, urn) {
    if (type !== `pulumi:providers:${plugin.name}`) throw new Error(`unknown provider type ${type}`);
    return new Provider(name, undefined, { urn });
  },
});
