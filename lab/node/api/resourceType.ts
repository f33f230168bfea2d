import type { Machine } from "../machine/machine.ts";
import type { ResourceContent } from "../machine/resourceContent.ts";

/** A resource type, with everything that clients ask about it before they display one. */
export interface ResourceType {
  type: string;
  namespace: string;
  /** Message in specs.proto. */
  codec?: string;
  aliases?: string[];
  /** Columns of a table: name and JSON path. */
  columns?: [string, string][];
  /** For administrators only. */
  sensitive?: boolean;
  /** The first release that has it, and the first that no longer does. */
  since?: string;
  until?: string;
  contents: (node: Machine) => ResourceContent[];
}
