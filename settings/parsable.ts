import { isParsable } from "./schema.ts";

/** The extension this program is about. */
export const iscsiTools = "siderolabs/iscsi-tools";

/** The value if it is a release or contract that can be reasoned about; its form is the schema's matter. */
export function textIfParsable(
  value: string | undefined,
  parse: (text: string) => unknown,
): string | undefined {
  return value !== undefined && isParsable(parse)(value) ? value : undefined;
}
