import { createHash } from "node:crypto";
import type * as pulumi from "@pulumi/pulumi";
import type { IscsiDriver } from "./iscsiDriver.ts";
import { pluginImage } from "./podParts.ts";
import { sidecarImage } from "./sidecars.ts";

/**
 * A driver's parts: changing one of these changes the driver. None of it is secret.
 * @param configuration the keyed checksum of its Secret (checksum.ts)
 */
export function driverParts(
  driver: IscsiDriver,
  configuration: pulumi.Input<string>,
): Record<string, pulumi.Input<string>> {
  const { secret: _secret, image: _image, imageSource, ...settings } = driver;
  const sidecars = [...driver.controller.sidecars, "registrar", "livenessProbe"] as const;
  return {
    image: pluginImage(driver),
    sidecars: sidecars.map((sidecar) => sidecarImage(sidecar, imageSource)).join(", "),
    configuration,
    // Arguments, classes, placement: too many to show individually, and each is shown with its object.
    settings: createHash("sha256").update(JSON.stringify(settings)).digest("hex").slice(0, 16),
  };
}
