import { realClock, type Clock } from "../../provider/clock.ts";
import { defaultTimeouts, type Timeouts } from "../../provider/timeouts.ts";
import { SealedClients } from "../../provider/gate/sealedClients.ts";
import { KubernetesError } from "../../provider/kubernetes.ts";
import { TalosNodeProvider } from "../../provider/plugin.ts";
import type { Properties } from "../../provider/secrets.ts";
import { connectActor } from "../../talos/api/actor.ts";
import type { FakeKubernetes } from "./fakeKubernetes.ts";
import { iscsiSchematicId, type SimulatedCluster } from "./simulatedCluster.ts";

/** Shorter than in production, so failures show quickly. */
export const shortTimeouts: Timeouts = {
  ...defaultTimeouts,
  probeMs: 500,
  contactMs: 1_500,
  certificateMs: 600,
  pollMs: 50,
  pollMaxMs: 150,
  guardMs: 400,
  recoveryMs: 400,
  kubernetesMs: 400,
  rebootMs: 1_000,
  settleMs: 300,
  serviceMs: 500,
  evictMs: 100,
  evictMaxMs: 200,
  steadyMs: 200,
  leftoverMs: 200,
};

/** The provider over simulated nodes, and everything it printed. */
export interface Harness {
  provider: TalosNodeProvider;
  status: string[];
  info: string[];
  warnings: string[];
}

export function createHarness(
  kubernetes?: FakeKubernetes,
  timeouts: Partial<Timeouts> = {},
  connect: typeof connectActor = connectActor,
  clock: Clock = realClock,
): Harness {
  const status: string[] = [];
  const info: string[] = [];
  const warnings: string[] = [];
  const connectKubernetes = async (): Promise<FakeKubernetes> => {
    if (kubernetes === undefined) throw new KubernetesError("no Kubernetes in this test", 500);
    return kubernetes;
  };
  const provider = new TalosNodeProvider({
    talos: async () => connect,
    connectKubernetes,
    acting: new SealedClients({ talos: async () => connect, kubernetes: connectKubernetes }),
    clock,
    timeouts: { ...shortTimeouts, ...timeouts },
    advised: new Set(),
    statusOf: () => ({
      status: (text) => void status.push(text),
      info: (text) => void info.push(text),
      warn: (text) => void warnings.push(text),
    }),
  });
  return { provider, status, info, warnings };
}

export const urn = "urn:pulumi:dev::talos-iscsi::talos-node:index:NodeUpgrade::node";

/** Inputs that upgrade a node of the cluster to a release with iscsi-tools. */
export function inputsFor(cluster: SimulatedCluster, name: string, change: Properties = {}): Properties {
  const node = cluster.node(name);
  const version = typeof change["talosVersion"] === "string" ? change["talosVersion"] : "v1.13.9";
  return {
    name,
    node: node.address,
    role: node.identity().role,
    talosVersion: version,
    schematicId: iscsiSchematicId,
    image: cluster.image(version),
    extensions: ["siderolabs/iscsi-tools"],
    services: ["ext-iscsid"],
    files: ["/usr/local/sbin/iscsiadm"],
    controlPlanes: cluster.nodes
      .filter((other) => other.identity().role === "controlplane")
      .map(({ address }) => address),
    clientConfiguration: { ...cluster.credentials },
    drain: { enabled: false },
    timeoutSeconds: 8,
    ...change,
  };
}

/** Runs an operation that must fail, and returns the failure. */
export async function expectFailure(
  work: Promise<unknown>,
): Promise<{ message: string; id?: string; properties?: Properties }> {
  try {
    await work;
  } catch (error) {
    return error as Error & { id?: string; properties?: Properties };
  }
  throw new Error("it should have failed");
}
