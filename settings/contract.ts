import { newestUsableContract } from "../talos/iscsi.ts";
import { oldestOf, parseContract, parseVersion } from "../talos/version.ts";
import { givenNodes, type GivenSettings } from "./given.ts";
import { textIfParsable } from "./parsable.ts";

/** The contract in the settings, else the one that a new cluster starts with. Undefined where the settings are malformed, which is reported elsewhere. */
export function contractOfSettings(
  settings: Pick<GivenSettings, "talosContract" | "talosVersion" | "cluster">,
): string | undefined {
  const given = textIfParsable(settings.talosContract, parseContract);
  const version = textIfParsable(settings.talosVersion, parseVersion);
  if (given !== undefined || version === undefined) return given;
  const own = givenNodes(settings).map((node) => textIfParsable(node.talosVersion, parseVersion));
  return newestUsableContract(oldestOf([version, ...own.filter((release) => release !== undefined)]));
}
