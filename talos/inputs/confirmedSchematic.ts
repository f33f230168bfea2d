import { z } from "zod";
import { textSchema } from "./fields.ts";

/** The inputs of a ConfirmedSchematic. */
export const confirmedSchematicSchema = z.object({
  /** URL of the Image Factory, for the error message. */
  factory: textSchema,
  /** ID computed from the schematic. */
  schematicId: textSchema,
  /** ID returned by the factory. */
  registeredId: textSchema,
});
