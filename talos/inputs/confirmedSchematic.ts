import { z } from "zod";
import { textSchema } from "./fields.ts";

/** The inputs of a ConfirmedSchematic. */
export const confirmedSchematicSchema = z.object({
  /** URL of the Image Factory, for the message. */
  factory: textSchema,
  /** ID computed from the schematic itself. */
  schematicId: textSchema,
  /** ID that the factory answered. */
  registeredId: textSchema,
});
