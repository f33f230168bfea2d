import { status } from "@grpc/grpc-js";
import { isPowerLoss } from "../machine/boot.ts";
import { controlPlane } from "./configService.ts";
import { EtcdView } from "../services/etcd.ts";
import { CallFailure } from "../machine/failure.ts";
import type { Machine } from "../machine/machine.ts";
import type { ServedMachine } from "./apid.ts";
import { booted } from "../services/sequence.ts";

interface HealthCheckRequest {
  waitTimeout: { seconds: string; nanos: number } | null;
  clusterInfo: { controlPlaneNodes: string[]; workerNodes: string[] } | null;
}

interface Cluster {
  node: Machine;
  controlPlanes: string[];
  workers: string[];
}

/** A condition that the check waits for. `missing` returns undefined once it is met, otherwise what is missing. */
interface Condition {
  name: string;
  missing: (cluster: Cluster) => Promise<string | undefined> | string | undefined;
}

/** A node that answers other nodes: it is up, and its network works. */
function reachable(cluster: Cluster, address: string): Machine | undefined {
  const node = cluster.node.network.node(address);
  const silent = node?.faults.has("half-open") === true || node?.faults.has("certificates-refused") === true;
  return node?.boot?.services.isUp("apid") === true && !silent ? node : undefined;
}

const serviceHealthy =
  (id: string) =>
  (cluster: Cluster): string | undefined => {
    const bad = cluster.controlPlanes.filter(
      (address) => reachable(cluster, address)?.boot?.services.isUp(id) !== true,
    );
    return bad.length === 0
      ? undefined
      : bad.map((address) => `${address}: service "${id}" is not healthy`).join(", ");
  };

async function kubernetes(
  cluster: Cluster,
  judge: (health: { apiServer: boolean; nodeReady: boolean }) => boolean,
  what: string,
): Promise<string | undefined> {
  const addresses = [...cluster.controlPlanes, ...cluster.workers];
  const good = await Promise.all(
    addresses.map(async (address) => {
      const health = await cluster.node.network.node(address)?.kubernetes.health();
      return health !== undefined && judge(health);
    }),
  );
  const bad = addresses.filter((_, index) => good[index] !== true);
  return bad.length === 0 ? undefined : `${what}: ${bad.join(", ")}`;
}

/** In the order of Talos's own checks (siderolabs/talos v1.13 pkg/cluster/check/default.go). */
const conditions: Condition[] = [
  { name: "etcd to be healthy", missing: serviceHealthy("etcd") },
  {
    name: "etcd members to be consistent across nodes",
    missing: ({ node }) => {
      const etcd = new EtcdView(node);
      if (!etcd.hasQuorum()) return "etcd has no leader";
      const unstarted = etcd.members().find(({ hostname }) => hostname === "");
      return unstarted === undefined ? undefined : `etcd member ${unstarted.id} has not started`;
    },
  },
  {
    name: "etcd members to be control plane nodes",
    missing: ({ node, controlPlanes }) => {
      const addresses = new EtcdView(node)
        .members()
        .map(({ peerUrls }) => new URL(peerUrls[0] ?? "").hostname);
      const strangers = addresses.filter((address) => !controlPlanes.includes(address));
      return strangers.length === 0
        ? undefined
        : `etcd member ips ${JSON.stringify(strangers)} are not subset of control plane node ips`;
    },
  },
  {
    name: "apid to be ready",
    missing: (cluster) => {
      const bad = [...cluster.controlPlanes, ...cluster.workers].filter(
        (address) => reachable(cluster, address) === undefined,
      );
      return bad.length === 0 ? undefined : `no answer from ${bad.join(", ")}`;
    },
  },
  { name: "kubelet to be healthy", missing: serviceHealthy("kubelet") },
  {
    name: "all nodes to finish boot sequence",
    missing: (cluster) => {
      const bad = [...cluster.controlPlanes, ...cluster.workers].filter(
        (address) => reachable(cluster, address)?.boot?.stage !== "running",
      );
      return bad.length === 0 ? undefined : `nodes are not running: ${bad.join(", ")}`;
    },
  },
  {
    name: "all control plane components to be ready",
    missing: (cluster) => kubernetes(cluster, ({ apiServer }) => apiServer, "no Kubernetes API"),
  },
  {
    name: "all k8s nodes to report ready",
    missing: (cluster) => kubernetes(cluster, ({ nodeReady }) => nodeReady, "some nodes are not ready"),
  },
];

/** The check that a control plane runs on its entire cluster. */
export function registerHealthCheck(node: ServedMachine): void {
  node.handlers.stream<HealthCheckRequest>(
    "/cluster.ClusterService/HealthCheck",
    async (request, send, { signal }) => {
      controlPlane(node, "cluster health check");
      const boot = booted(node);
      const until = Date.now() + Number(request.waitTimeout?.seconds ?? 0) * 1000;
      const cluster = clusterOf(node, request);
      const addresses = [...cluster.controlPlanes, ...cluster.workers];
      send({ message: `discovered nodes: ${JSON.stringify(addresses)}` });
      for (const { name, missing } of conditions) {
        let said = "";
        for (;;) {
          const reason = await missing(cluster);
          const line = `waiting for ${name}: ${reason ?? "OK"}`;
          if (line !== said) send({ message: line });
          said = line;
          if (reason === undefined) break;
          if (Date.now() >= until)
            throw new CallFailure(status.DEADLINE_EXCEEDED, "context deadline exceeded");
          try {
            await node.changes.next(0.3, AbortSignal.any([signal, boot.power]));
          } catch (error) {
            if (isPowerLoss(error)) return;
            throw error;
          }
        }
      }
    },
  );
}

/** The nodes that the caller named, or else those known to discovery. */
function clusterOf(node: Machine, { clusterInfo }: HealthCheckRequest): Cluster {
  const named = [...(clusterInfo?.controlPlaneNodes ?? []), ...(clusterInfo?.workerNodes ?? [])];
  if (named.length > 0) {
    return {
      node,
      controlPlanes: clusterInfo?.controlPlaneNodes ?? [],
      workers: clusterInfo?.workerNodes ?? [],
    };
  }
  const members = node.network.cluster(node.clusterId ?? "");
  const ofRole = (role: string): string[] =>
    members.filter((member) => member.identity().role === role).map(({ address }) => address);
  return { node, controlPlanes: ofRole("controlplane"), workers: ofRole("worker") };
}
