import { coded } from "../talos/errorCodes.ts";
import type { DiffResult } from "@pulumi/pulumi/provider/provider.js";
import { confirmedSchematicSchema } from "../talos/inputs/confirmedSchematic.ts";
import { withDefaults } from "../talos/inputs/defaults.ts";
import { inputFailures, type CheckFailure } from "./check.ts";
import type { PluginResource } from "./pluginResource.ts";
import { hasUnknown, wrap, type Properties, type Unwrapped } from "./secrets.ts";

export const confirmedSchematicType = "talos-node:index:ConfirmedSchematic";

/** Compares the factory's schematic ID with the computed one. The resource stores only the compared values. */
export class ConfirmedSchematicResource implements PluginResource {
  check(inputs: Properties): CheckFailure[] {
    const failures = inputFailures("ConfirmedSchematic", confirmedSchematicSchema, inputs);
    if (failures.length > 0 || hasUnknown(inputs["registeredId"])) return failures;
    const { factory, schematicId, registeredId } = withDefaults(confirmedSchematicSchema, inputs);
    if (registeredId === schematicId) return [];
    const ids = { factory, computed: schematicId, answered: registeredId };
    return [{ property: "registeredId", reason: schematicMismatchMessage(ids) }];
  }

  async diff(): Promise<DiffResult> {
    return {};
  }

  async create(_urn: string, { values, secrets }: Unwrapped): Promise<{ id: string; outs: Properties }> {
    return { id: String(values["schematicId"]), outs: wrap(values, secrets) };
  }

  async update(
    _id: string,
    _urn: string,
    _state: Properties,
    { values, secrets }: Unwrapped,
  ): Promise<Properties> {
    return wrap(values, secrets);
  }

  inputsOf(state: Properties): Properties {
    return state;
  }
}

/** The error for a factory ID that doesn't match the schematic. */
function schematicMismatchMessage(ids: { answered: string; computed: string; factory: string }): string {
  return [
    `${coded("schematic-id", `the Image Factory ${ids.factory} returned another schematic ID than the schematic has`)}.`,
    `  returned ${ids.answered}`,
    `  expected ${ids.computed}`,
    "It would build another image, so no node is touched. Known cause: a factory or Talos provider that drops unknown keys",
    "(owner, embeddedMachineConfiguration, diskImage, secureboot.enrollKeys with Talos provider 0.8).",
    "Remove those keys from image.schematic, or use a factory and a provider that support them.",
  ].join("\n");
}
