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
    ...(report.approval === undefined ? {} : { approval: report.approval }),
  };
  return `${JSON.stringify(data, null, 2)}\n`;
}

/** What the job after a preview needs, as `KEY=value` lines; without a digest no plan is approved. */
export function previewVariables(report: PreviewReport): string[] {
  const { approval } = report;
  return [
    `TALOS_ISCSI_CHANGES=${hasChanges(report)}`,
    `TALOS_ISCSI_APPROVED_PLAN=${approval === undefined ? "none" : approval.digest}`,
  ];
}
