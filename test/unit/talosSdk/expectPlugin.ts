import { expect } from "vitest";
import type { Recorded } from "./recorder.ts";
import { schema, schemaVersion } from "./schema.ts";

/** A request must name the schema's plugin and its download URL. */
export function expectPlugin(recorded: Recorded): void {
  expect(recorded.version).toBe(schemaVersion);
  expect(recorded.pluginDownloadUrl).toBe(schema.pluginDownloadURL);
}
