import { endSentence } from "../provider/errors.ts";
import { joinHints, joinProblems } from "../provider/guards/finding.ts";
import {
  kubernetesUpgradeInputs,
  type KubernetesUpgradeInputs,
} from "../provider/kubernetesUpgrade/inputs.ts";
import {
  lookAtCluster,
  releasesIn,
  releaseTable,
  type ClusterLook,
} from "../provider/kubernetesUpgrade/look.ts";
import { findObstacles } from "../provider/kubernetesUpgrade/upgrade.ts";
import { Work } from "../provider/kubernetesUpgrade/work.ts";
import type { Surroundings } from "../provider/session.ts";
import type { Endpoints } from "../talos/endpoint.ts";
import { kubernetesReleasesBefore, kubernetesReleasesBetween } from "../talos/kubernetesPath.ts";
import type { ClientCredentials } from "../talos/secretsBundle.ts";
import { DoctorError } from "./doctorError.ts";
import type { FirstLook } from "./node.ts";
import type { Finding } from "./verdict.ts";

interface ComponentsRequest {
  talosconfig: ClientCredentials;
  kubeconfig?: string;
  to?: string;
  toKubernetes?: string;
}

interface ComponentsAccess {
  surroundings: Surroundings;
  endpoints: Endpoints | undefined;
  signal: AbortSignal;
}

/** What there is to say of the components of Kubernetes on all nodes. */
export interface ComponentsVerdict {
  runs: Record<string, Record<string, string>>;
  /** Why an upgrade to `--to-kubernetes` would be refused. */
  refused: string[];
  findings: Finding[];
}

/** @throws DoctorError for what is no release of Kubernetes */
export function requireKubernetesRelease(text: string | undefined): void {
  if (text !== undefined && !/^v1\.\d+\.\d+(-(alpha|beta|rc)\.\d+)?$/.test(text))
    throw new DoctorError(`--to-kubernetes: "${text}" is not a Kubernetes release such as "v1.36.1"`);
}

/** Reads every component's release with the parts of a KubernetesUpgrade, and judges what that would refuse. Changes nothing. */
export async function examineComponents(
  looks: readonly FirstLook[],
  { talosconfig, kubeconfig = "", to, toKubernetes }: ComponentsRequest,
  { surroundings, endpoints, signal }: ComponentsAccess,
): Promise<ComponentsVerdict> {
  const nodes = Object.fromEntries(
    looks.map(({ name, address, role, facts }) => [
      name,
      { node: address, role, talosVersion: to ?? facts.version },
    ]),
  );
  const inputs = kubernetesUpgradeInputs({
    ...{ kubernetesVersion: toKubernetes ?? "", nodes, clientConfiguration: talosconfig, kubeconfig },
    ...(endpoints === undefined ? {} : { endpoints }),
  });
  const work = await Work.open(surroundings, "", inputs, signal);
  try {
    const look = await lookAtCluster(work.nodes);
    const findings = look.silent.map(({ node, reason }): Finding => ({
      severity: toKubernetes === undefined ? "warning" : "problem",
      nodes: [node.name],
      text: `its Kubernetes components could not be read (os:reader is not permitted to): ${reason}`,
    }));
    const releases = releasesIn(look);
    if (releases.length > 1)
      findings.push({
        severity: "warning",
        nodes: [],
        text: `Kubernetes components run different releases: ${releases.join(", ")}`,
      });
    if (toKubernetes !== undefined && kubeconfig === "")
      findings.push({
        severity: "warning",
        nodes: [],
        text: "removed APIs, kubelets and unexamined nodes were not checked: set --kubeconfig",
      });
    const planned = to !== undefined;
    const against = toKubernetes === undefined ? [] : await findObstacles(work, look, planned);
    const refused = against.map(({ problem, hint }) => `${endSentence(problem)} ${hint}`);
    findings.push(
      ...refused.map((text): Finding => ({
        severity: "problem",
        nodes: [],
        text: `an upgrade of Kubernetes to ${toKubernetes ?? ""} would be refused because ${text}`,
      })),
    );
    const way = await wayThrough(look, inputs, planned, (wanted) =>
      Work.open(surroundings, "", wanted, signal),
    );
    if (way !== undefined) findings.push({ severity: "warning", nodes: [], text: way });
    // What cannot be read cannot be upgraded either.
    const unread = look.silent.map(({ node, reason }) => `${node.name} could not be read: ${reason}`);
    return { runs: releaseTable(look), refused: [...refused, ...unread], findings };
  } finally {
    work.close();
  }
}

/** What `upgrade.through: automatic` would do with a cluster that is several minor releases behind; undefined for any other cluster. */
async function wayThrough(
  look: ClusterLook,
  inputs: KubernetesUpgradeInputs,
  planned: boolean,
  open: (inputs: KubernetesUpgradeInputs) => Promise<Work>,
): Promise<string | undefined> {
  const { kubernetesVersion: target } = inputs;
  const through = kubernetesReleasesBefore(target);
  const [oldest = target] = releasesIn(look);
  const between = kubernetesReleasesBetween(oldest, target, through)?.slice(0, -1) ?? [];
  if (between.length === 0) return undefined;
  const begin = `with upgrade.through: automatic, an upgrade of Kubernetes to ${target} goes through ${between.join(", ")}, with ${between.length + 1} restarts of each kubelet`;
  const work = await open({ ...inputs, through });
  try {
    const against = await findObstacles(work, look, planned);
    return against.length === 0
      ? begin
      : `${begin}; right now that is refused: ${endSentence(joinProblems(against))} ${joinHints(against)}`;
  } finally {
    work.close();
  }
}
