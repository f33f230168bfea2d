import { expect } from "vitest";
import type { Recorded } from "./recorder.ts";
import { schema, schemaVersion } from "./schema.ts";

/** A request has to name the plugin that the schema belongs to, and where to download it. */
export function expectPlugin(recorded: Recorded): void {
  expect(recorded.version).toBe(schemaVersion);
  expect(recorded.pluginDownloadUrl).toBe(schema.pluginDownloadURL);
}
