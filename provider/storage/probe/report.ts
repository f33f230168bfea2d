import Table from "cli-table3";

/** The measured steps of a volume, in order. */
export const probeSteps = ["provision", "attach", "mount", "write", "detach", "read", "delete"] as const;
export type ProbeStep = (typeof probeSteps)[number];

/** One volume: a StorageClass on a node. */
export interface VolumeRow {
  storageClass: string;
  /** The first pod's node; empty if the class could not be probed on any. */
  node: string;
  /** The second pod's node; the same one if there is no other. Absent: it didn't get that far. */
  readOn?: string;
  result: "passed" | "failed";
  /**
   * Seconds by step. `provision`: until the claim was bound; `attach`: until the driver had attached the volume; `mount`: until the container ran, image pull
   * included; `write`: writing and syncing, measured in the pod; `detach`: from the pod's end until the volume was detached; `read`: until the second pod had
   * read it; `delete`: until the PersistentVolume was gone. Steps that were not reached, or that the driver doesn't have, are absent.
   */
  seconds: Partial<Record<ProbeStep, number>>;
  /** What failed, with the claim, the pod, the node and Kubernetes' message. */
  problem?: string;
}

/** A node on which a class was not probed. */
export interface SkippedNode {
  storageClass: string;
  node: string;
  why: string;
}

/** The result of a probe. */
export interface ProbeReport {
  result: "passed" | "failed";
  volumes: VolumeRow[];
  skipped: SkippedNode[];
  /** What could not be removed; empty if everything is gone. */
  left: string[];
  /** Namespaces of earlier probes that were removed. */
  removed: string[];
}

/** The report for a terminal: a row per volume, then all problems. */
export function formatProbeReport({ result, volumes, skipped, left, removed }: ProbeReport): string {
  const table = new Table({
    head: ["StorageClass", "node", "result", ...probeSteps, "read on"],
    colAligns: [...Array<"left">(3).fill("left"), ...probeSteps.map((): "right" => "right"), "left"],
    style: { head: [], border: [], compact: true },
  });
  for (const { storageClass, node, result: how, seconds, readOn } of volumes)
    table.push([
      storageClass,
      node,
      how,
      ...probeSteps.map((step) => seconds[step]?.toFixed(1) ?? ""),
      readOn === undefined ? "" : readOn === node ? `${readOn} (the only one)` : readOn,
    ]);
  const failed = volumes.filter((row) => row.result === "failed").length;
  const verdict =
    result === "passed"
      ? `Storage works: ${volumes.length} volumes were written, moved and read.`
      : `Storage does not work: ${failed} of ${volumes.length} volumes failed.`;
  return [
    ...(volumes.length === 0 ? [] : [`Seconds by step\n${table.toString()}`]),
    ...probeProblems({ volumes, left }),
    ...skipped.map(({ storageClass, node, why }) => `skipped: ${storageClass} on ${node}: ${why}`),
    ...removed.map((namespace) => `removed: ${namespace}, which an earlier probe had left`),
    verdict,
  ].join("\n");
}

/** All problems, a line each. */
export function probeProblems({ volumes, left }: Pick<ProbeReport, "volumes" | "left">): string[] {
  return [
    ...volumes.flatMap(({ storageClass, node, problem }) =>
      problem === undefined ? [] : [`${storageClass}${node === "" ? "" : ` on ${node}`}: ${problem}`],
    ),
    ...left.map((text) => `left behind: ${text}`),
  ];
}
