import type { AccessMode, ProbedClass, ProbedNode, Taint, Toleration } from "./cluster.ts";
import type { SkippedNode, VolumeRow } from "./report.ts";

/** What a probe is to look at. */
export interface ProbeRequest {
  classes: WantedClass[];
  /** The pods' image, with a shell and busybox's programs. */
  image: string;
  /** Size of each volume, as in a claim. */
  size: string;
  /** How many volumes at a time. */
  concurrency: number;
  /** How long each step may take, in seconds. */
  timeoutSeconds: number;
  /** Taints that the pods tolerate; nodes with others are passed over. */
  tolerations: readonly Toleration[];
  /** These nodes alone. Default: all. */
  nodes?: readonly string[];
}

export interface WantedClass {
  name: string;
  /** The driver that the class has to be of. Default: whichever it is of. */
  driver?: string;
  /** What its claims ask for. Default: ReadWriteOnce. */
  accessMode?: AccessMode;
}

/** A volume to be made. */
export interface PlannedVolume {
  storageClass: ProbedClass;
  accessMode: AccessMode;
  node: string;
  /** Where it is read again. */
  reader: string;
}

/** What is known of a cluster before the probe. */
export interface ClusterFacts {
  nodes: readonly ProbedNode[];
  classes: ReadonlyMap<string, ProbedClass>;
  /** Drivers that the kubelets have registered, by node. */
  registered: ReadonlyMap<string, readonly string[]>;
  /** Nodes with a pod of the driver's node part, by driver. */
  driverPods: ReadonlyMap<string, ReadonlySet<string>>;
}

export interface ProbePlan {
  volumes: PlannedVolume[];
  /** What is wrong already. */
  failed: VolumeRow[];
  /** Nodes with a pod of a driver that has not registered: a new pod takes a moment. */
  registering: string[];
  skipped: SkippedNode[];
}

/**
 * Each class on each node that runs its driver. A node counts where the driver's DaemonSet has a pod, not only where the driver has registered: one that it fails
 * on is what the probe is for.
 */
export function planProbe(request: ProbeRequest, facts: ClusterFacts): ProbePlan {
  const plan: ProbePlan = { volumes: [], failed: [], registering: [], skipped: [] };
  for (const wanted of request.classes) planStorageClass(request, wanted, facts, plan);
  return plan;
}

function planStorageClass(
  request: ProbeRequest,
  wanted: WantedClass,
  facts: ClusterFacts,
  plan: ProbePlan,
): void {
  const storageClass = facts.classes.get(wanted.name);
  const fail = (node: string, problem: string): void =>
    void plan.failed.push({ storageClass: wanted.name, node, result: "failed", seconds: {}, problem });
  if (storageClass === undefined) return fail("", "the cluster has no StorageClass of this name");
  const { provisioner } = storageClass;
  if (wanted.driver !== undefined && wanted.driver !== provisioner)
    return fail("", `the class is one of ${provisioner}, not of ${wanted.driver}`);
  const isRegistered = (node: string): boolean => facts.registered.get(node)?.includes(provisioner) ?? false;
  const running = facts.nodes.filter(
    ({ name }) => facts.driverPods.get(provisioner)?.has(name) === true || isRegistered(name),
  );
  if (running.length === 0) return fail("", `no node runs the driver ${provisioner}`);
  const isWanted = (node: string): boolean => request.nodes?.includes(node) ?? true;
  // A node that is not asked for may still read.
  const usable: string[] = [];
  for (const node of running) {
    const why = reasonToSkip(node, request);
    if (why === undefined && node.ready && isRegistered(node.name)) usable.push(node.name);
    else if (!isWanted(node.name)) continue;
    else if (why !== undefined) plan.skipped.push({ storageClass: wanted.name, node: node.name, why });
    else if (!node.ready) fail(node.name, `the node is not ready: ${node.reason}`);
    else {
      plan.registering.push(node.name);
      fail(
        node.name,
        `the driver ${provisioner} is not registered on the node: see the logs of its pod there (kubectl get csinode ${node.name} --output yaml)`,
      );
    }
  }
  const chosen = usable.filter(isWanted);
  if (chosen.length === 0 && !plan.failed.some((row) => row.storageClass === wanted.name && row.node !== ""))
    fail(
      "",
      `none of the nodes that run the driver takes the probe's pods (${plan.skipped
        .filter(({ storageClass: name }) => name === wanted.name)
        .map(({ node, why }) => `${node}: ${why}`)
        .join("; ")}); give it tolerations`,
    );
  for (const node of chosen)
    plan.volumes.push({
      storageClass,
      accessMode: wanted.accessMode ?? "ReadWriteOnce",
      node,
      reader: usable[(usable.indexOf(node) + 1) % usable.length] ?? node,
    });
}

/** Why no pod of the probe can be there; undefined where one can. */
function reasonToSkip(node: ProbedNode, { tolerations }: ProbeRequest): string | undefined {
  if (node.unschedulable) return "it is cordoned";
  // A node that is not ready has taints that say so.
  if (!node.ready) return undefined;
  const taint = node.taints.find(
    (one) => repelsPods(one) && !tolerations.some((each) => tolerates(each, one)),
  );
  return taint === undefined ? undefined : `it has the taint ${taint.key}:${taint.effect}`;
}

function repelsPods({ effect }: Taint): boolean {
  return effect === "NoSchedule" || effect === "NoExecute";
}

function tolerates({ key, operator = "Equal", value = "", effect }: Toleration, taint: Taint): boolean {
  if (effect !== undefined && effect !== "" && effect !== taint.effect) return false;
  if (key === undefined || key === "") return operator === "Exists";
  return key === taint.key && (operator === "Exists" || value === taint.value);
}
