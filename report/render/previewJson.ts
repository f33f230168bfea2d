import type { PlanToApprove } from "../model/approvedPlan.ts";
import { hasChanges, type PreviewReport } from "../model/preview.ts";

/** A preview for programs: the verdict, what changes, what is at stake. No secret is in it, as in the other forms. */
export function previewJson(report: PreviewReport): string {
  const { project, stack, made, refreshed, verdict, counts, nodes, losses, errors, warnings } = report;
  const only = onlyApproval(report);
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
    ...(only === undefined ? {} : { approval: { digest: only.digest, plan: only.plan } }),
    ...(report.approvals.length > 1 ? { approvals: report.approvals } : {}),
  };
  return `${JSON.stringify(data, null, 2)}\n`;
}

/** The plan of a program with a single cluster: of several, none is that of the stack. */
function onlyApproval({ approvals }: PreviewReport): PlanToApprove | undefined {
  return approvals.length === 1 ? approvals[0] : undefined;
}

/** What the job after a preview needs, as `KEY=value` lines; without a digest no plan is approved. */
export function previewVariables(report: PreviewReport): string[] {
  const approval = onlyApproval(report);
  return [
    `TALOS_ISCSI_CHANGES=${hasChanges(report)}`,
    `TALOS_ISCSI_APPROVED_PLAN=${approval === undefined ? "none" : approval.digest}`,
  ];
}
