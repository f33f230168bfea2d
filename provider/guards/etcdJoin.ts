import type { NodeUpgradeInputs } from "../../talos/inputs/nodeUpgrade.ts";
import type { UpgradeContext } from "../context.ts";
import { PreflightError, UpgradeError } from "../errors.ts";
import { etcdSeenByOthers } from "../gate/etcdLeave.ts";
import { nodeLabel } from "../inputs.ts";
import { Session, type Surroundings } from "../session.ts";
import { readEtcdStep } from "./etcdStep.ts";
import { etcdVersionFindings } from "./etcdVersion.ts";
import { joinHints, joinProblems } from "./finding.ts";

/**
 * Why a control plane in maintenance mode can't join etcd. Its first configuration installs its own release before the rollout and its hops begin, so its etcd meets the one
 * that runs. An etcd that can't join leaves a member that never started, which blocks the rollout.
 */
export async function etcdJoinProblem(context: UpgradeContext): Promise<UpgradeError | undefined> {
  const { wanted, peer, timeouts, signal } = context;
  if (wanted.role !== "controlplane") return undefined;
  const call = { deadlineMs: timeouts.probeMs * 2, signal };
  const seen = await etcdSeenByOthers(
    { node: wanted, controlPlanes: wanted.controlPlanes, reader: peer },
    undefined,
    call,
  );
  const members = (seen?.staying ?? []).flatMap(({ address, etcd }) =>
    "error" in etcd ? [] : [{ address, version: etcd.version, storageVersion: etcd.storageVersion }],
  );
  const [any] = members;
  // The gate sends a former member no configuration.
  if (any === undefined || seen?.leaving !== undefined) return undefined;
  const terms = { talosVersion: wanted.talosVersion, allowDowngrade: false, snapshot: true };
  const step = await readEtcdStep(any.address, members, terms, peer(any.address), call);
  const findings = etcdVersionFindings(step).map((finding) => ({
    ...finding,
    problem: `it would join etcd before the other nodes are upgraded: ${finding.problem}`,
    hint: `Add ${wanted.name} in a \`pulumi up\` of its own: after this rollout, or before it with the release that the others run.`,
  }));
  if (findings.length === 0) return undefined;
  const [seenText, hint] = [joinProblems(findings), joinHints(findings)];
  return new UpgradeError(nodeLabel(wanted), "guard", seenText, hint, findings);
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
        const { context } = session;
        return (await context.talos.inMaintenance()) ? await etcdJoinProblem(context) : undefined;
      } finally {
        session.close();
      }
    }),
  );
  const found = problems.filter((problem) => problem !== undefined);
  if (found.length > 0) throw new PreflightError(found, nodes.length, changed);
}
