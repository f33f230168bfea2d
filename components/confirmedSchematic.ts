import * as pulumi from "@pulumi/pulumi";
import type { confirmedSchematicSchema } from "../talos/inputs/confirmedSchematic.ts";
import type { ResourceInputs } from "./resourceInputs.ts";

export interface ConfirmedSchematicArgs {
  /** URL of the Image Factory, for the error message. */
  factory: string;
  /** ID computed from the schematic. */
  schematicId: string;
  /** ID returned by the factory; unknown in a preview that registers the schematic. */
  registeredId: pulumi.Input<string>;
}

/**
 * Confirms that the Image Factory registered the requested schematic: the provider rejects an ID that differs from the computed one with a check failure.
 * Everything that uses the image waits for this resource. The ID itself is passed on as computed, so it is the same in preview and update. Nothing is created
 * or deleted for it.
 */
export class ConfirmedSchematic extends pulumi.CustomResource {
  constructor(name: string, args: ConfirmedSchematicArgs, opts?: pulumi.CustomResourceOptions) {
    const inputs: ResourceInputs<typeof confirmedSchematicSchema> = { ...args };
    super("talos-node:index:ConfirmedSchematic", name, inputs, opts);
  }
}
