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

/** What the provider needs from outside; tests put something else in its place. */
export interface Surroundings {
  /** Resolves once the client library is there; connecting itself is immediate. */
  talos(): Promise<(connection: TalosConnection) => TalosReader>;
  connectKubernetes(kubeconfig: string): Promise<KubernetesClient>;
  /** Default: the cluster of the kubeconfig. */
  connectProbe?(kubeconfig: string): Promise<ProbeCluster>;
  /** What the gate acts with. */
  acting: SealedClients;
  clock: Clock;
  patience: Timeouts;
  /** Which run of the engine this is: what another one has confirmed counts for nothing. Default: the only one. */
  run?: string;
  /** What this process has told of ways from release to release: each thing once. */
  advised: Set<string>;
  /** Where the status lines of a resource go. */
  statusOf(urn: string): StatusSink;
}

/** For the gate; absent where no approval is asked for. */
export function askedApproval(
  given: unknown,
  { run = "" }: Pick<Surroundings, "run">,
): AskedApproval | undefined {
  return given === undefined ? undefined : { given, run };
}

/** One operation on one node: its connections, made when they are first used and closed together. */
export class Session {
  readonly context: UpgradeContext;
  readonly #connections: Connections;

  /** @param progress where it is told how far the operation is. Default: the steps of an upgrade */
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
    const { clock, patience } = surroundings;
    const connections = new Connections(connectTalos, wanted.clientConfiguration, (address) =>
      wanted.endpoint === undefined
        ? reach(address, { ...wanted.rollout.endpoints, ...wanted.endpoints })
        : [wanted.endpoint],
    );
    this.#connections = connections;
    let kubernetes: Promise<KubernetesClient> | undefined;
    const reader = (address: string): TalosReader => connections.to(address);
    const connectKubernetes = async (): Promise<KubernetesClient | undefined> => {
      if (wanted.kubeconfig === undefined) return undefined;
      kubernetes ??= surroundings.connectKubernetes(wanted.kubeconfig);
      return kubernetes;
    };
    const storage = new NodeStorage({
      ...{ wanted, clock, patience, signal },
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
        patience,
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
      patience,
    };
  }

  close(): void {
    this.context.storage.close();
    this.#connections.close();
  }
}
