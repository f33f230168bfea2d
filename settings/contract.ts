import { newestUsableContract } from "../talos/iscsi.ts";
import { oldestOf, parseContract, parseVersion } from "../talos/version.ts";
import { valueAt, listAt } from "./raw.ts";
import { textIfParsable } from "./parsable.ts";

/** The contract of the settings: the one that they name, else that which a new cluster begins with. Undefined where they are not well formed, which is told elsewhere. */
export function contractOfSettings(settings: unknown): string | undefined {
  const given = textIfParsable(valueAt(settings, "talosContract"), parseContract);
  const version = textIfParsable(valueAt(settings, "talosVersion"), parseVersion);
  if (given !== undefined || version === undefined) return given;
  const own = listAt(settings, "cluster", "nodes").map((node) =>
    textIfParsable(valueAt(node, "talosVersion"), parseVersion),
  );
  return newestUsableContract(oldestOf([version, ...own.filter((release) => release !== undefined)]));
}
