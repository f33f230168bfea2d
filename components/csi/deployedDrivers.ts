import { joviandssIdentity, synologyIdentity } from "./driverIdentity.ts";
import type { CsiSettings } from "./csiProblems.ts";
import type { DeployedDriver } from "../../talos/inputs/clusterMembership.ts";

/**
 * The drivers that the settings deploy, by their CSI names, with what decides where each looks for its volumes. The plugin compares them with the last
 * deployment's.
 * @param isHidden whether a text was provided as a secret: it is left out
 */
export function deployedDrivers(
  { joviandss, synology }: CsiSettings,
  isHidden: (text: string) => boolean,
): Record<string, DeployedDriver> {
  const shown = <Key extends string>(key: Key, text: string): Partial<Record<Key, string>> =>
    isHidden(text) ? {} : ({ [key]: text } as Partial<Record<Key, string>>);
  const drivers: Record<string, DeployedDriver> = {};
  for (const [index, pool] of (joviandss?.pools ?? []).entries()) {
    const { iscsi, ...settings } = joviandss as NonNullable<typeof joviandss>;
    const place = { ...shown("pool", pool.name), ...shown("targetPrefix", iscsi.targetPrefix) };
    drivers[joviandssIdentity(settings, pool, index).driverName] = { section: "joviandss", ...place };
  }
  if (synology === undefined) return drivers;
  const hosts = synology.arrays.map(({ host }) => host);
  // All or none: a hidden array would look like a removed one.
  const arrays = hosts.some(isHidden) ? {} : { arrays: hosts };
  drivers[synologyIdentity(synology).driverName] = { section: "synology", ...arrays };
  return drivers;
}
