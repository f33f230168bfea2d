import type { NodeUpgradeInputs } from "../../talos/inputs/nodeUpgrade.ts";
import { PreflightError, UpgradeError } from "../errors.ts";
import { nodeLabel } from "../inputs.ts";
import { Session, type Surroundings } from "../session.ts";
import { etcdJoinFindings } from "./etcdJoinFindings.ts";
import { joinHints, joinProblems } from "./finding.ts";

/** Why a control plane in maintenance mode can't join etcd, for the preview and before the first configuration; the gate checks again. */
export async function etcdJoinProblem(
  surroundings: Surroundings,
  { context, connection }: Session,
): Promise<UpgradeError | undefined> {
  const { wanted, peer, timeouts, signal } = context;
  if (wanted.role !== "controlplane") return undefined;
  const machine = (await surroundings.talos())({ ...connection, credentials: "maintenance" });
  try {
    const { controlPlanes, talosVersion: installs } = wanted;
    const joining = { node: wanted, controlPlanes, reader: peer, installs, machine };
    const findings = await etcdJoinFindings(joining, { deadlineMs: timeouts.probeMs * 2, signal });
    if (findings.length === 0) return undefined;
    const [seen, hint] = [joinProblems(findings), joinHints(findings)];
    return new UpgradeError(nodeLabel(wanted), "guard", seen, hint, findings);
  } finally {
    machine.close();
  }
}

/**
 * Before the first configuration is applied, also if an earlier run stopped on the way to its release.
 * @param known names of the nodes in the state: only the others can be new
 * @throws PreflightError with every new control plane that can't join
 */
export async function refuseEtcdJoins(
  surroundings: Surroundings,
  urn: string,
  nodes: readonly NodeUpgradeInputs[],
  { known, changed, signal }: { known: ReadonlySet<string>; changed: string; signal: AbortSignal },
): Promise<void> {
  const added = nodes.filter(({ name, role }) => role === "controlplane" && !known.has(name));
  const problems = await Promise.all(
    added.map(async (node) => {
      const session = await Session.open(surroundings, urn, node, signal);
      try {
        const isNew = await session.context.talos.inMaintenance();
        return isNew ? await etcdJoinProblem(surroundings, session) : undefined;
      } finally {
        session.close();
      }
    }),
  );
  const found = problems.filter((problem) => problem !== undefined);
  if (found.length > 0) throw new PreflightError(found, nodes.length, changed);
}
