import type { NodeUpgradeInputs } from "../talos/inputs/nodeUpgrade.ts";
import type { TalosReader } from "../talos/api/talosClient.ts";
import type { TalosConnection } from "../talos/api/transport.ts";
import { reach } from "../talos/endpoint.ts";
import type { AskedApproval } from "./approval.ts";
import type { Clock } from "./clock.ts";
import { Connections } from "./connections.ts";
import { stepTimer, type UpgradeContext } from "./context.ts";
import type { Timeouts } from "./timeouts.ts";
import type { SealedClients } from "./gate/sealedClients.ts";
import { Gate } from "./gate/gate.ts";
import type { KubernetesClient } from "./kubernetes.ts";
import { StepProgress, type Progress, type StatusSink } from "./progress.ts";
import { findNode } from "./steps/drain.ts";
import { NodeStorage } from "./storage/nodeStorage.ts";
import type { ProbeCluster } from "./storage/probe/cluster.ts";

/** The provider's external dependencies; tests replace them. */
export interface Surroundings {
  /** Resolves once the client library is loaded; connecting itself is immediate. */
  talos(): Promise<(connection: TalosConnection) => TalosReader>;
  connectKubernetes(kubeconfig: string): Promise<KubernetesClient>;
  /** Default: the kubeconfig's cluster. */
  connectProbe?(kubeconfig: string): Promise<ProbeCluster>;
  /** The gate's clients. */
  acting: SealedClients;
  clock: Clock;
  timeouts: Timeouts;
  /** This run of the engine: a confirmation from another run is void. Default: the only one. */
  run?: string;
  /** Advisories this process has already shown: each appears once. */
  advised: Set<string>;
  /** The sink for a resource's status lines. */
  statusOf(urn: string): StatusSink;
}

/** For the gate; absent if no approval is required. */
export function askedApproval(
  given: unknown,
  { run = "" }: Pick<Surroundings, "run">,
): AskedApproval | undefined {
  return given === undefined ? undefined : { given, run };
}

/** The endpoints through which a node, or another one of its cluster, is reached. */
export function endpointsOf(
  { endpoint, endpoints, rollout }: Pick<NodeUpgradeInputs, "endpoint" | "endpoints" | "rollout">,
  address: string,
): readonly string[] {
  return endpoint === undefined ? reach(address, { ...rollout.endpoints, ...endpoints }) : [endpoint];
}

/** One operation on one node: its connections, opened on first use and closed together. */
export class Session {
  readonly context: UpgradeContext;
  /** How the node is reached. */
  readonly connection: TalosConnection;
  readonly #connections: Connections;

  /** @param progress the progress reporter. Default: the steps of an upgrade */
  static async open(
    surroundings: Surroundings,
    urn: string,
    wanted: NodeUpgradeInputs,
    signal: AbortSignal,
    progress?: Progress,
  ): Promise<Session> {
    return new Session(surroundings, await surroundings.talos(), urn, wanted, signal, progress);
  }

  private constructor(
    surroundings: Surroundings,
    connectTalos: (connection: TalosConnection) => TalosReader,
    urn: string,
    wanted: NodeUpgradeInputs,
    signal: AbortSignal,
    progress: Progress = new StepProgress(surroundings.statusOf(urn), surroundings.clock),
  ) {
    const { clock, timeouts } = surroundings;
    const connections = new Connections(connectTalos, wanted.clientConfiguration, (address) =>
      endpointsOf(wanted, address),
    );
    this.connection = connections.connectionTo(wanted.node);
    this.#connections = connections;
    let kubernetes: Promise<KubernetesClient> | undefined;
    const reader = (address: string): TalosReader => connections.to(address);
    const connectKubernetes = async (): Promise<KubernetesClient | undefined> => {
      if (wanted.kubeconfig === undefined) return undefined;
      kubernetes ??= surroundings.connectKubernetes(wanted.kubeconfig);
      return kubernetes;
    };
    const storage = new NodeStorage({
      ...{ wanted, clock, timeouts, signal },
      talos: connections.to(wanted.node),
      kubernetes: connectKubernetes,
      findNode: (nodes, name) => findNode(nodes, name, wanted.node),
    });
    this.context = {
      wanted,
      talos: connections.to(wanted.node),
      peer: reader,
      gate: new Gate({
        node: wanted,
        controlPlanes: wanted.controlPlanes,
        services: wanted.services,
        wanted: {
          talosVersion: wanted.talosVersion,
          allowDowngrade: wanted.etcdDowngrade,
          snapshot: wanted.etcdSnapshot !== undefined,
        },
        cluster: wanted.clientConfiguration.caCertificate,
        kubeconfig: wanted.kubeconfig,
        approval: askedApproval(wanted.approval, surroundings),
        acting: surroundings.acting,
        reader,
        connectionTo: (address) => connections.connectionTo(address),
        clock,
        timeouts,
        signal,
        tell: (text) => progress.detail(text),
        volumes: () => storage.findings(),
      }),
      kubernetes: connectKubernetes,
      storage,
      clock,
      progress,
      signal,
      timer: stepTimer(clock, wanted.timeoutSeconds * 1000),
      timeouts,
    };
  }

  close(): void {
    this.context.storage.close();
    this.#connections.close();
  }
}
