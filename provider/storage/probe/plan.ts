import type { AccessMode, ProbedClass, ProbedNode, Taint, Toleration } from "./cluster.ts";
import type { SkippedNode, VolumeRow } from "./report.ts";

/** What to probe. */
export interface ProbeRequest {
  classes: WantedClass[];
  /** The pods' image, with a shell and busybox's programs. */
  image: string;
  /** Size of each volume, as in a claim. */
  size: string;
  /** How many volumes are probed concurrently. */
  concurrency: number;
  /** How long each step may take, in seconds. */
  timeoutSeconds: number;
  /** Taints that the pods tolerate; nodes with others are skipped. */
  tolerations: readonly Toleration[];
  /** Only these nodes. Default: all. */
  nodes?: readonly string[];
}

export interface WantedClass {
  name: string;
  /** The driver that the class must belong to. Default: any. */
  driver?: string;
  /** The claims' access mode. Default: ReadWriteOnce. */
  accessMode?: AccessMode;
}

/** A volume to create. */
export interface PlannedVolume {
  storageClass: ProbedClass;
  accessMode: AccessMode;
  node: string;
  /** The node that reads it. */
  reader: string;
}

/** The cluster's state before the probe. */
export interface ClusterFacts {
  nodes: readonly ProbedNode[];
  classes: ReadonlyMap<string, ProbedClass>;
  /** Drivers registered with the kubelets, by node. */
  registered: ReadonlyMap<string, readonly string[]>;
  /** Nodes with a pod of the driver's node plugin, by driver. */
  driverPods: ReadonlyMap<string, ReadonlySet<string>>;
}

export interface ProbePlan {
  volumes: PlannedVolume[];
  /** Failures known before the probe. */
  failed: VolumeRow[];
  /** Nodes with a pod of a driver that has not registered: a new pod takes a moment. */
  registering: string[];
  skipped: SkippedNode[];
}

/**
 * Plans each class on each node that runs its driver. A node counts if the driver's DaemonSet has a pod there, not only if the driver has registered: the probe
 * exists to find nodes where it fails.
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
  // A node that is not selected may still read.
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

/** Why no probe pod can run there; undefined if one can. */
function reasonToSkip(node: ProbedNode, { tolerations }: ProbeRequest): string | undefined {
  if (node.unschedulable) return "it is cordoned";
  // A NotReady node has the corresponding taints.
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
