import type { CodedText } from "../../talos/errorCodes.ts";
import { wallClockMs, formatDuration } from "../clock.ts";
import type { UpgradeContext } from "../context.ts";
import { endSentence } from "../errors.ts";
import { joinHints, joinProblems, type Finding } from "../guards/finding.ts";
import { nodeLabel } from "../inputs.ts";
import { silentProgress, type Progress } from "../progress.ts";
import { requireGates } from "../rollout/gates.ts";
import { whyWindowClosed } from "../rollout/window.ts";
import { Session, type Surroundings } from "../session.ts";
import type { KubernetesNodeInputs, KubernetesUpgradeInputs } from "./inputs.ts";

/** Why the cluster doesn't run the desired Kubernetes: one user-facing error. */
export class KubernetesUpgradeError extends Error {
  override readonly name = "KubernetesUpgradeError";

  /** @param where the node and the component, such as `cp1 (10.0.0.11), kube-apiserver` */
  constructor(where: string, seen: CodedText, hint: string, options?: ErrorOptions) {
    super(`${where}: ${endSentence(seen)} ${hint}`, options);
  }
}

/** Everything that blocks an upgrade, in one error. */
export function refusedError({ inputs }: Work, findings: readonly Finding[]): KubernetesUpgradeError {
  return new KubernetesUpgradeError(
    `Kubernetes ${inputs.kubernetesVersion}`,
    joinProblems(findings),
    joinHints(findings),
  );
}

/** No upgrade window is open: the rest waits for one. */
export class OutsideWindow extends Error {
  override readonly name = "OutsideWindow";
}

/** A node and its clients. */
export interface WorkNode {
  readonly node: KubernetesNodeInputs;
  readonly context: UpgradeContext;
}

/** One Kubernetes upgrade of a cluster: its nodes and its progress. */
export class Work {
  readonly inputs: KubernetesUpgradeInputs;
  readonly surroundings: Surroundings;
  readonly signal: AbortSignal;
  /** Control planes first. */
  readonly nodes: readonly WorkNode[];
  readonly #sessions: readonly Session[];
  readonly #progress: WorkProgress;
  #place: string | undefined;
  readonly #notes: string[] = [];

  static async open(
    surroundings: Surroundings,
    urn: string,
    inputs: KubernetesUpgradeInputs,
    signal: AbortSignal,
  ): Promise<Work> {
    const work = new WorkProgress(surroundings, urn);
    const controlPlanes = inputs.nodes.flatMap(({ role, node }) => (role === "controlplane" ? [node] : []));
    const sessions = await Promise.all(
      inputs.nodes.map((node) =>
        Session.open(surroundings, urn, sessionInputs(inputs, node, controlPlanes), signal, work.of(node)),
      ),
    );
    return new Work(surroundings, inputs, signal, sessions, work);
  }

  private constructor(
    surroundings: Surroundings,
    inputs: KubernetesUpgradeInputs,
    signal: AbortSignal,
    sessions: readonly Session[],
    progress: WorkProgress,
  ) {
    this.inputs = inputs;
    this.surroundings = surroundings;
    this.signal = signal;
    this.#sessions = sessions;
    this.nodes = inputs.nodes.flatMap((node, index) => {
      const context = sessions[index]?.context;
      return context === undefined ? [] : [{ node, context }];
    });
    this.#progress = progress;
  }

  get controlPlanes(): readonly WorkNode[] {
    return this.nodes.filter(({ node }) => node.role === "controlplane");
  }

  /** Starts a part, shown next to the resource. @param where the place for its errors, such as `cp1 (10.0.0.11), kube-apiserver`; absent: the whole cluster */
  part(text: string, where?: string): void {
    this.#place = where;
    this.#progress.part(text);
  }

  /** The current place, for an error. */
  get place(): string {
    return this.#place ?? `Kubernetes ${this.inputs.kubernetesVersion}`;
  }

  /** What happened to a node, added to the final error. */
  note(text: string): void {
    this.#notes.push(text);
  }

  get notes(): readonly string[] {
    return this.#notes;
  }

  info(text: string): void {
    this.#progress.sink.info(text);
  }

  warn(text: string): void {
    this.#progress.sink.warn(text);
  }

  /**
   * Checks the windows and the gates right before a node is changed.
   * @throws OutsideWindow, or the gate's own error
   */
  async requireOpen({ context }: WorkNode): Promise<void> {
    const closed = await whyWindowClosed(context);
    if (closed !== undefined) throw new OutsideWindow(closed);
    await requireGates(context, "gate");
  }

  /** The parts so far. */
  get parts(): readonly UpgradePart[] {
    return this.#progress.parts();
  }

  close(): void {
    this.#progress.end();
    for (const session of this.#sessions) session.close();
  }
}

/** A part of an upgrade; times are milliseconds since 1970. */
export interface UpgradePart {
  readonly text: string;
  readonly begun: number;
  readonly ended: number;
}

/** One status line for all nodes that moves through the parts. */
class WorkProgress {
  readonly sink: ReturnType<Surroundings["statusOf"]>;
  readonly #surroundings: Surroundings;
  readonly #begun: number;
  #part = "look";
  #ended: number | undefined;
  readonly #parts: { text: string; begun: number }[] = [];

  constructor(surroundings: Surroundings, urn: string) {
    this.#surroundings = surroundings;
    this.sink = surroundings.statusOf(urn);
    this.#begun = surroundings.clock.now();
  }

  part(text: string): void {
    this.#part = text;
    this.#parts.push({ text, begun: wallClockMs(this.#surroundings) });
    this.#show("");
  }

  end(): void {
    this.#ended ??= wallClockMs(this.#surroundings);
  }

  parts(): UpgradePart[] {
    const now = this.#ended ?? wallClockMs(this.#surroundings);
    return this.#parts.map((part, index) => ({ ...part, ended: this.#parts[index + 1]?.begun ?? now }));
  }

  of(node: KubernetesNodeInputs): Progress {
    return {
      ...silentProgress,
      detail: (text) => this.#show(text),
      info: (text) => this.sink.info(`${nodeLabel(node)}: ${text}`),
      warn: (text) => this.sink.warn(`${nodeLabel(node)}: ${text}`),
    };
  }

  #show(detail: string): void {
    const took = formatDuration(this.#surroundings.clock.now() - this.#begun);
    this.sink.status(`${this.#part} · ${took}${detail === "" ? "" : ` · ${detail}`}`);
  }
}

function sessionInputs(
  inputs: KubernetesUpgradeInputs,
  { name, node, role }: KubernetesNodeInputs,
  controlPlanes: string[],
): Parameters<typeof Session.open>[2] {
  const { clientConfiguration, kubeconfig, endpoints, drain, storageGate, timeoutSeconds, rollout } = inputs;
  return {
    ...{ name, node, role, controlPlanes, clientConfiguration },
    ...{ drain, storageGate, timeoutSeconds, rollout },
    // Only the doctor runs without one.
    ...(kubeconfig === "" ? {} : { kubeconfig }),
    ...(endpoints === undefined ? {} : { endpoints }),
    ...(inputs.approval === undefined ? {} : { approval: inputs.approval }),
    // Only needed by Talos upgrades.
    ...{ talosVersion: "", schematicId: "", image: "", extensions: [], services: [], files: [] },
    ...{ prePull: false, allowSkew: false, etcdDowngrade: false },
  };
}
