import * as pulumi from "@pulumi/pulumi";
import { plugin, withPlugin } from "./plugin.ts";
import { hasType } from "./resource.ts";

/**
 * A configured instance of the Talos provider. Needed only to give some resources other settings than the stack's
 * configuration (`talos:…`) gives the default provider.
 */
export class Provider extends pulumi.ProviderResource {
  private static readonly __pulumiType = "talos";

  /** Tells whether an object is a Talos provider, also one from another copy of this package. */
  static override isInstance(obj: unknown): obj is Provider {
    return hasType(obj, `pulumi:providers:${Provider.__pulumiType}`);
  }

  /** The Image Factory that the provider talks to. */
  declare readonly imageFactoryUrl: pulumi.Output<string | undefined>;

  /**
   * @param name Unique among the stack's Talos providers.
   * @param args The provider's settings.
   * @param opts Options that hold for every Pulumi resource.
   */
  constructor(name: string, args?: ProviderArgs, opts?: pulumi.ResourceOptions) {
    super(Provider.__pulumiType, name, { imageFactoryUrl: args?.imageFactoryUrl }, withPlugin(opts));
  }

  /** The settings under their Terraform names, as a Terraform module run by Pulumi wants them. */
  terraformConfig(): pulumi.Output<Provider.TerraformConfigResult> {
    return pulumi.runtime.call("pulumi:providers:talos/terraformConfig", { __self__: this }, this);
  }
}

/** The settings of a Talos provider. */
export interface ProviderArgs {
  /** The Image Factory to talk to. Default: the public one, `https://factory.talos.dev`. */
  imageFactoryUrl?: pulumi.Input<string | undefined>;
}

// The published SDK nests this type in the class, which TypeScript can say with a namespace only. It has no value in it.
// eslint-disable-next-line @typescript-eslint/no-namespace
export declare namespace Provider {
  /** What {@link Provider.terraformConfig} returns. */
  export interface TerraformConfigResult {
    /** Setting by setting, in snake case. The published SDK says `any`; code for `unknown` fits both. */
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
