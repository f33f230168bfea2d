import { isTransient, TalosError } from "../talos/api/errors.ts";
import type { TalosReader } from "../talos/api/talosClient.ts";
import type { TalosConnection } from "../talos/api/transport.ts";
import { alignConfig } from "../talos/alignConfig.ts";
import { configChanges, type ConfigChanges } from "../talos/configChanges.ts";
import { ConfigTextError } from "../talos/configTree.ts";
import { configRedactor, redactMachineConfig } from "../talos/redact.ts";
import type { CheckFailure } from "./check.ts";
import { duration } from "./clock.ts";
import { Connections } from "./connections.ts";
import { stopIfCancelled } from "./context.ts";
import type { ConfigurationGuardInputs } from "./guardInputs.ts";
import { controlPlaneHealth } from "./guards/controlPlaneHealth.ts";
import type { Finding } from "./guards/finding.ts";
import { nodeLabel } from "./inputs.ts";
import type { StatusSink } from "./progress.ts";
import type { Surroundings } from "./session.ts";

/** Why a configuration is not applied. One error for people. */
export class GuardError extends Error {
  override readonly name = "GuardError";
}

/** What a node has, as far as it could be found out. */
type Found =
  | { state: "configured"; configuration: string }
  | { state: "maintenance" }
  | { state: "unreachable"; reason: string };

/** One look at one node: its connections are made when they are used, and closed together. */
export class ConfigurationGuard {
  readonly #surroundings: Surroundings;
  readonly #wanted: ConfigurationGuardInputs;
  readonly #sink: StatusSink;
  readonly #signal: AbortSignal;
  readonly #connections: Connections;

  constructor(
    surroundings: Surroundings,
    urn: string,
    wanted: ConfigurationGuardInputs,
    signal: AbortSignal,
    connectTalos: (connection: TalosConnection) => TalosReader,
  ) {
    this.#surroundings = surroundings;
    this.#wanted = wanted;
    this.#sink = surroundings.statusOf(urn);
    this.#signal = signal;
    const { node, endpoint, clientConfiguration } = wanted;
    this.#connections = new Connections(connectTalos, clientConfiguration, (address) =>
      address === node ? (endpoint ?? address) : address,
    );
  }

  /** For a preview: what the configuration changes on the node, or why it must not be applied. A node that does not answer is only told. */
  async preview(before: string | undefined): Promise<{ changes: string[]; failures: CheckFailure[] }> {
    const found = await this.#find();
    if (found.state === "unreachable") {
      this.#sink.warn(
        `${this.#label} could not be asked what it has, so what this changes there is not known: ${found.reason}`,
      );
      return { changes: [`not known: ${this.#label} did not answer`], failures: [] };
    }
    if (found.state === "maintenance") return { changes: [firstConfiguration], failures: [] };
    const { lines, dropped } = this.#compare(found.configuration, before);
    const reason = this.#refusal(dropped);
    return {
      changes: [...lines],
      failures: reason === undefined ? [] : [{ property: "node", reason }],
    };
  }

  /**
   * For the deployment, right before the configuration is applied: nothing is dropped, and every other control plane is well. Throws `GuardError`.
   * @param before the configuration that was given to the node last; the one that is wanted, if nothing is going to be applied.
   */
  async admit(before: string | undefined): Promise<void> {
    const found = await this.#findPatiently();
    if (found.state === "maintenance") return;
    if (found.state === "unreachable") {
      throw new GuardError(
        `${this.#label}: its configuration was not applied, since nobody can tell what it has: ${found.reason}. Bring the node back, then run \`pulumi up\` again.`,
      );
    }
    const { lines, dropped, disturbs } = this.#compare(found.configuration, before);
    if (before === this.#wanted.machineConfiguration) {
      if (lines.length > 0) this.#sink.warn(this.#drift(lines));
      return;
    }
    const reason = this.#refusal(dropped);
    if (reason !== undefined) throw new GuardError(reason);
    if (disturbs) await this.#awaitControlPlanes();
  }

  /** The configuration that the node has, redacted, written as the wanted one is; undefined where it cannot be read. */
  async running(): Promise<string | undefined> {
    const found = await this.#find();
    if (found.state !== "configured") {
      const reason = found.state === "maintenance" ? "it waits for its first configuration" : found.reason;
      this.#sink.warn(`${this.#label} could not be read, its state is kept as it was: ${reason}`);
      return undefined;
    }
    const { machineConfiguration } = this.#wanted;
    const { key } = configRedactor(machineConfiguration);
    return redactMachineConfig(alignConfig(found.configuration, machineConfiguration), { key });
  }

  close(): void {
    this.#connections.close();
  }

  get #label(): string {
    return nodeLabel(this.#wanted);
  }

  async #find(): Promise<Found> {
    const client = this.#connections.to(this.#wanted.node);
    try {
      const call = { deadlineMs: this.#surroundings.patience.probeMs * 2, signal: this.#signal };
      const configuration = await client.machineConfiguration(call);
      return configuration === undefined ? { state: "maintenance" } : { state: "configured", configuration };
    } catch (error) {
      if (!(error instanceof TalosError)) throw error;
      stopIfCancelled({ signal: this.#signal });
      if ((isTransient(error) || error.kind === "certificate") && (await client.inMaintenance())) {
        return { state: "maintenance" };
      }
      return { state: "unreachable", reason: (await client.diagnose()) ?? error.detail };
    }
  }

  /** A node may be booting: it is given time. */
  async #findPatiently(): Promise<Found> {
    const { clock, patience } = this.#surroundings;
    const end = clock.now() + patience.certificateMs;
    for (;;) {
      const found = await this.#find();
      if (found.state !== "unreachable" || clock.now() >= end) return found;
      this.#sink.status(`waiting for the node to answer: ${found.reason}`);
      await clock.sleep(patience.evictMs, this.#signal);
    }
  }

  #compare(running: string, before: string | undefined): ConfigChanges {
    const { machineConfiguration, patches, acceptDropped } = this.#wanted;
    try {
      return configChanges({
        running,
        wanted: machineConfiguration,
        patches,
        before,
        accepted: acceptDropped,
      });
    } catch (error) {
      if (!(error instanceof ConfigTextError)) throw error;
      throw new GuardError(`${this.#label}: its configuration cannot be compared: ${error.message}`, {
        cause: error,
      });
    }
  }

  #refusal(dropped: ConfigChanges["dropped"]): string | undefined {
    if (dropped.length === 0) return undefined;
    const lines = dropped.map(({ line }) => `  ${line}`);
    const shown = lines.length > 40 ? [...lines.slice(0, 40), `  … and ${lines.length - 40} more`] : lines;
    return (
      `${this.#label} has what its configuration here would drop, and nothing was applied:\n${shown.join("\n")}\n` +
      "Take it over: give the node's own machine configuration (cluster.nodes[].configFile), or put it into patches. " +
      "What may go is listed by its path in cluster.acceptDropped."
    );
  }

  #drift(lines: readonly string[]): string {
    return (
      `${this.#label} was changed by hand, and that is not taken back, since its configuration here is the same as before:\n` +
      `${lines.map((line) => `  ${line}`).join("\n")}\nPut it into patches, or undo it on the node (- is what the node has and the configuration has not).`
    );
  }

  /** So that never two of them restart at once, whatever the configuration makes them restart. */
  async #awaitControlPlanes(): Promise<void> {
    const { clock, patience } = this.#surroundings;
    const { node, controlPlanes, timeoutSeconds } = this.#wanted;
    // Nobody comes before the first one, whose effect could still be on its way.
    const steadyMs = controlPlanes[0] === node ? 0 : patience.steadyMs;
    const call = { deadlineMs: patience.probeMs * 2, signal: this.#signal };
    const begun = clock.now();
    let [wellSince, readySince] = [undefined as number | undefined, undefined as number | undefined];
    for (;;) {
      stopIfCancelled({ signal: this.#signal });
      const health = await controlPlaneHealth(
        node,
        controlPlanes,
        (address) => this.#connections.to(address),
        call,
      );
      if (!health.runs) return;
      const now = clock.now();
      readySince = health.findings.length === 0 ? (readySince ?? now) : undefined;
      // A manifest may change in ways that restart nothing: after a while a ready kube-apiserver is taken at its word.
      const patient = readySince === undefined || now - readySince < patience.serviceMs;
      const findings = [...health.findings, ...(patient ? health.restarting : [])];
      wellSince = findings.length === 0 ? (wellSince ?? now) : undefined;
      if (wellSince !== undefined && now - wellSince >= steadyMs) return;
      if (now - begun >= timeoutSeconds * 1000) throw this.#unwell(findings, now - begun);
      if (findings.length > 0)
        this.#sink.status(`waiting: ${findings.map(({ problem }) => problem).join("; ")}`);
      await clock.sleep(Math.min(patience.steadyMs, patience.evictMs), this.#signal);
    }
  }

  #unwell(findings: readonly Finding[], waited: number): GuardError {
    return new GuardError(
      `${this.#label}: its configuration was not applied, since the other control planes are not well after ${duration(waited)}: ` +
        `${findings.map(({ problem }) => problem).join("; ")}. ${[...new Set(findings.map(({ hint }) => hint))].join(" ")} ` +
        "Then run `pulumi up` again: it goes on from here.",
    );
  }
}

const firstConfiguration = "+ everything: the machine waits for its first configuration";
