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
 * What stands against an upgrade of Kubernetes, before anything is changed: that upgrade comes after the nodes', and one that is refused then has let their Talos
 * change for nothing. Nodes that do not answer are told elsewhere.
 * @param before the inputs of the last time: a cluster whose release the stack has not set before is left as it is
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

/** The stack's own may not be known yet. Empty where no control plane gives one out: then it is the nodes that tell. */
async function fetchFirstKubeconfig(
  { surroundings, urn, signal }: EarlyCheck,
  wanted: ReturnType<typeof kubernetesUpgradeInputs>,
): Promise<string> {
  const work = await Work.open(surroundings, urn, wanted, signal);
  try {
    const [first] = work.controlPlanes;
    if (first === undefined) return "";
    const call = { deadlineMs: surroundings.patience.probeMs * 2, signal };
    return await fetchKubeconfig(first.context.peer, first.context.wanted.controlPlanes, call);
  } catch (error) {
    if (!(error instanceof TalosError) || error.kind === "cancelled") throw error;
    return "";
  } finally {
    work.close();
  }
}
