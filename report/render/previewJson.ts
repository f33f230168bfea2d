import { hasChanges, type PreviewReport } from "../model/preview.ts";

/** A preview for programs: the verdict, what changes, what is at stake. No secret is in it, as in the other forms. */
export function previewJson(report: PreviewReport): string {
  const { project, stack, made, refreshed, verdict, counts, nodes, losses, errors, warnings } = report;
  const data = {
    project,
    stack,
    made: new Date(made).toISOString(),
    refreshed,
    verdict,
    changes: hasChanges(report),
    counts,
    nodes: nodes.map(({ name, role, action, from, to, reboot, hops }) => ({
      name,
      role,
      action,
      from,
      to,
      reboot,
      hops,
    })),
    losses,
    errors,
    warnings,
  };
  return `${JSON.stringify(data, null, 2)}\n`;
}

/** What the job after a preview needs, as `KEY=value` lines. */
export function previewVariables(report: PreviewReport): string[] {
  return [`TALOS_ISCSI_CHANGES=${hasChanges(report)}`];
}
