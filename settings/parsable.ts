import { parseVersion } from "../talos/version.ts";
import type { GivenNode, GivenSettings } from "./given.ts";
import { isParsable } from "./schema.ts";

/** The extension that nodes need for iSCSI. */
export const iscsiTools = "siderolabs/iscsi-tools";

/** The Talos release that a node is to run; undefined where it cannot be reasoned about. */
export function releaseOfNode(
  { talosVersion }: Pick<GivenSettings, "talosVersion">,
  node: GivenNode,
): string | undefined {
  return textIfParsable(node.talosVersion ?? talosVersion, parseVersion);
}

/** The value if it parses as a release or contract; the schema reports one that does not. */
export function textIfParsable(
  value: string | undefined,
  parse: (text: string) => unknown,
): string | undefined {
  return value !== undefined && isParsable(parse)(value) ? value : undefined;
}
