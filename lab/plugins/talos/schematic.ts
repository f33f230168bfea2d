import { parse, stringify } from "yaml";
import { readText } from "../read.ts";
import { isArray, isObject } from "../values.ts";
import type { Properties, PropertyValue } from "../values.ts";
import type { ResourceHandler } from "./handler.ts";
import type { FactoryClient } from "./factoryClient.ts";

/** `all`: keeps everything below. */
type Fields = { [key: string]: Fields | "all" };

// The document as known to the Image Factory library v1.1.0 in the published provider. It silently drops every other key, and
// the factory then returns the ID of the rest (image-factory v1.1.0 pkg/schematic).
const KNOWN: Fields = {
  overlay: { image: "all", name: "all", options: "all" },
  customization: {
    extraKernelArgs: "all",
    meta: { key: "all", value: "all" },
    systemExtensions: { officialExtensions: "all" },
    bootloader: "all",
    secureboot: { includeWellKnownCertificates: "all" },
  },
};

/** talos:imageFactory/schematic:Schematic: registers a schematic; its ID comes from the factory. */
export function schematicResource(factory: () => FactoryClient): ResourceHandler {
  const register = async (inputs: Properties, signal: AbortSignal) =>
    factory().register(knownSchematicPart(readText(inputs, "schematic") ?? ""), signal);
  return {
    async create({ inputs, preview, signal }) {
      return { id: preview ? "" : await register(inputs, signal), state: inputs };
    },

    // The engine keeps a resource's ID across an update, so a changed schematic keeps the ID of the old one;
    // only a replacement (`replaceOnChanges`) gets the new ID. The published provider behaves the same.
    async update({ inputs, preview, signal }) {
      if (!preview) {
        await register(inputs, signal);
      }
      return inputs;
    },
  };
}

function knownSchematicPart(schematic: string): string {
  let document: PropertyValue;
  try {
    document = parse(schematic) as PropertyValue;
  } catch (error) {
    throw new Error(`schematic: is not YAML: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    });
  }
  return stringify(keepKnown(document ?? {}, KNOWN), { lineWidth: 0 });
}

function keepKnown(value: PropertyValue, fields: Fields | "all"): PropertyValue {
  if (fields === "all") {
    return value;
  }
  if (isArray(value)) {
    return value.map((element) => keepKnown(element, fields));
  }
  if (!isObject(value)) {
    return value;
  }
  const kept: Properties = {};
  for (const [key, field] of Object.entries(value)) {
    const known = fields[key];
    if (known !== undefined && field !== undefined) {
      kept[key] = keepKnown(field, known);
    }
  }
  return kept;
}
