import { csiProblems, type CsiSettings } from "../components/csi/csiProblems.ts";
import { joviandssWarnings } from "../components/csi/joviandssSettings.ts";
import type { Problem } from "../components/csi/problems.ts";
import { advisories } from "../talos/advisories.ts";
import { newestContract } from "../talos/iscsi.ts";
import type { Schematic } from "../talos/schematic.ts";
import { isolatesWorkloads } from "./isolation.ts";
import type { ClusterSettings } from "./schema.ts";

/** What the drivers need of each other and of the cluster. */
export function checkCsi(
  settings: CsiSettings & {
    talosVersion: string;
    talosContract?: string | undefined;
    cluster: ClusterSettings;
  },
  schematic: Schematic,
): { problems: Problem[]; warnings: Problem[] } {
  const contract = settings.talosContract ?? newestContract(settings.talosVersion);
  const drivers = (["joviandss", "synology"] as const).flatMap((name) => {
    const driver = settings[name];
    return driver === undefined ? [] : [{ name, strategy: driver.iscsiadm.strategy }];
  });
  const known = advisories({
    to: settings.talosVersion,
    contract,
    extensions: schematic.customization?.systemExtensions?.officialExtensions ?? [],
    schematic,
    drivers,
  }).map(({ id, severity, text, source }) => ({
    id,
    severity,
    problem: { path: "talosVersion", reason: `${text} (${source})` },
  }));
  const own = settings.joviandss === undefined ? [] : joviandssWarnings(settings.joviandss);
  return {
    problems: [
      ...csiProblems(settings, { workloadIsolation: isolatesWorkloads(settings.cluster, contract) }),
      // The other refusals among the advisories are told by the rules for versions and patches, with the key they concern.
      ...known.filter(({ id }) => id === "kernel-arguments-conflict").map(({ problem }) => problem),
    ],
    warnings: [
      ...own.map(({ path, reason }) => ({ path: `joviandss.${path}`, reason })),
      ...known.filter(({ severity }) => severity === "warning").map(({ problem }) => problem),
    ],
  };
}
