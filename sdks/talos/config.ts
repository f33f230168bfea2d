import * as pulumi from "@pulumi/pulumi";

/**
 * The provider's settings as the stack's configuration has them (`talos:…`). They are read when asked for: an
 * Automation API program imports this package before its stack has a configuration.
 */
export const config = {
  /** `talos:imageFactoryUrl`: the Image Factory that the default provider talks to; unset means the public one. */
  get imageFactoryUrl(): string | undefined {
    return new pulumi.Config("talos").get("imageFactoryUrl");
  },
};
