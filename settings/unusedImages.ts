import type { CsiSettings } from "../components/csi/csiProblems.ts";
import { joinChoices } from "../components/csi/fields.ts";
import type { Problem } from "../components/csi/problems.ts";
import type { Sidecar } from "../components/csi/sidecars.ts";

const ofEveryDriver = ["provisioner", "attacher", "snapshotter", "registrar", "livenessProbe"] as const;

/** The images that each section can run; `images` has the same keys everywhere. */
const runs: Readonly<Record<"joviandss" | "synology" | "snapshotController", readonly Sidecar[]>> = {
  // JovianDSS can't expand volumes, so it has no resizer.
  joviandss: ofEveryDriver,
  synology: [...ofEveryDriver, "resizer"],
  snapshotController: ["snapshotController"],
};

/** Image overrides that nothing runs. Only warnings: one list of images may serve all sections, by an anchor. */
export function unusedImageWarnings({ joviandss, synology, snapshotController }: CsiSettings): Problem[] {
  return Object.entries({ joviandss, synology, snapshotController }).flatMap(([section, settings]) => {
    const known: readonly string[] = runs[section as keyof typeof runs];
    return Object.keys(settings?.images ?? {})
      .filter((name) => !known.includes(name))
      .map((name) => ({
        path: `${section}.images.${name}`,
        reason: `has no effect: ${section} runs no such image; it runs only ${joinChoices([...known]).replace(" or ", " and ")}`,
      }));
  });
}
