import type { Machine } from "../machine/machine.ts";
import type { ResourceContent } from "../machine/resourceContent.ts";

/** A kind of resource, with everything that clients ask about it before they show one. */
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
  /** The first release that has it, and the first that has it no more. */
  since?: string;
  until?: string;
  contents: (node: Machine) => ResourceContent[];
}
