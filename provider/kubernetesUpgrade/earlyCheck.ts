import { TalosError } from "../../talos/api/errors.ts";
import { withDefaults } from "../../talos/inputs/defaults.ts";
import { readinessSchema } from "../../talos/inputs/rolloutReadiness.ts";
import type { CheckFailure } from "../check.ts";
import { fetchKubeconfig } from "../fetchKubeconfig.ts";
import { nodesByName } from "../../talos/nodesByName.ts";
import { hasUnknown, type Properties } from "../secrets.ts";
import type { Surroundings } from "../session.ts";
import { kubernetesUpgradeInputs } from "./inputs.ts";
import { lookAtCluster } from "./look.ts";
import { findObstacles } from "./upgrade.ts";
import { refusedError, Work } from "./work.ts";

const kubernetesSchema = readinessSchema.pick({ kubernetes: true });

type EarlyCheck = { surroundings: Surroundings; urn: string; signal: AbortSignal };

/**
 * What blocks a Kubernetes upgrade, checked before anything is changed: it runs after the nodes' upgrades, and a refusal then would mean their Talos was
 * changed for nothing. Nodes that don't answer are reported by other checks.
 * @param before the previous inputs: a cluster whose release the stack didn't set before is left alone
 */
export async function checkKubernetesEarly(
  { surroundings, urn, signal }: EarlyCheck,
  before: Properties,
  inputs: Properties,
): Promise<CheckFailure[]> {
  const { kubernetesVersion, nodes, clientConfiguration, endpoints, timeoutSeconds } = inputs;
  const last = before["kubernetesVersion"];
  if (typeof kubernetesVersion !== "string" || typeof last !== "string" || last === kubernetesVersion)
    return [];
  if (hasUnknown([kubernetesVersion, nodes, clientConfiguration])) return [];
  const { pinned = {}, ...own } = withDefaults(kubernetesSchema, inputs).kubernetes ?? {};
  const wanted = kubernetesUpgradeInputs({
    ...{ kubernetesVersion, clientConfiguration, kubeconfig: "", timeoutSeconds },
    ...(endpoints === undefined ? {} : { endpoints }),
    ...(hasUnknown(own) ? {} : own),
    nodes: Object.fromEntries(
      nodesByName(nodes).map(([name, { node, role, talosVersion }]) => [
        name,
        { node, role, talosVersion, ...(pinned[name] === undefined ? {} : { pinned: pinned[name] }) },
      ]),
    ),
  });
  const kubeconfig = await fetchFirstKubeconfig({ surroundings, urn, signal }, wanted);
  const work = await Work.open(surroundings, urn, { ...wanted, kubeconfig }, signal);
  try {
    const look = await lookAtCluster(work.nodes);
    if (look.nodes.length === 0) return [];
    const lasting = (await findObstacles(work, look, true)).filter(({ mayPass }) => !mayPass);
    return lasting.length === 0 ? [] : [{ property: "", reason: refusedError(work, lasting).message }];
  } finally {
    work.close();
  }
}

/** The stack's own kubeconfig may not be known yet. Empty if no control plane returns one: then the nodes are read instead. */
async function fetchFirstKubeconfig(
  { surroundings, urn, signal }: EarlyCheck,
  wanted: ReturnType<typeof kubernetesUpgradeInputs>,
): Promise<string> {
  const work = await Work.open(surroundings, urn, wanted, signal);
  try {
    const [first] = work.controlPlanes;
    if (first === undefined) return "";
    const call = { deadlineMs: surroundings.timeouts.probeMs * 2, signal };
    return await fetchKubeconfig(first.context.peer, first.context.wanted.controlPlanes, call);
  } catch (error) {
    if (!(error instanceof TalosError) || error.kind === "cancelled") throw error;
    return "";
  } finally {
    work.close();
  }
}
