import * as pulumi from "@pulumi/pulumi";

/**
 * The provider's settings from the stack's configuration (`talos:…`). Read on access: an
 * Automation API program imports this package before its stack has a configuration.
 */
export const config = {
  /** `talos:imageFactoryUrl`: the Image Factory that the default provider talks to; default: the public one. */
  get imageFactoryUrl(): string | undefined {
    return new pulumi.Config("talos").get("imageFactoryUrl");
  },
};
