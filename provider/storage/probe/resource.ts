import { isRecord } from "../../../talos/values.ts";
import { coded } from "../../../talos/errorCodes.ts";
import { withDefaults } from "../../../talos/inputs/defaults.ts";
import { storageProbeSchema } from "../../../talos/inputs/storageProbe.ts";
import { inputFailures, type CheckFailure } from "../../check.ts";
import { changedInputs, type DetailedDiffResult, type Details } from "../../detailedDiff.ts";
import type { PluginResource } from "../../pluginResource.ts";
import { propertyPath } from "../../rollout.ts";
import { wrap, type Properties, type Unwrapped } from "../../secrets.ts";
import type { Surroundings } from "../../session.ts";
import { alwaysSecret } from "../../state.ts";
import { UnfinishedError } from "../../unfinished.ts";
import type { ProbeCluster } from "./cluster.ts";
import { runProbe } from "./probe.ts";
import { probeProblems, type ProbeReport } from "./report.ts";

export const storageProbeType = "talos-node:index:StorageProbe";

const outputNames: readonly string[] = ["result", "volumes", "skipped", "probed"];
/** How the probe runs, and with which credentials: a change doesn't trigger it again. */
const mannerProperties: readonly string[] = ["kubeconfig", "timeoutSeconds", "concurrency"];
/** What the nodes run and the driver's parts, by name. */
const triggerProperties: readonly string[] = ["nodes", "driver"];

/** Proves that a driver's volumes work. It runs when an input shows that something has changed, and after a failure; never in a preview. */
export class StorageProbeResource implements PluginResource {
  readonly #surroundings: Surroundings;
  readonly #stop: AbortSignal;

  constructor(surroundings: Surroundings, stop: AbortSignal) {
    this.#surroundings = surroundings;
    this.#stop = stop;
  }

  check(inputs: Properties): CheckFailure[] {
    return inputFailures("StorageProbe", storageProbeSchema, inputs);
  }

  async diff(
    _urn: string,
    state: Properties,
    news: Properties,
    oldInputs: Properties,
  ): Promise<DetailedDiffResult> {
    const details = triggerDifferences(oldInputs, news);
    // Nothing changed, but the last probe failed: the engine sees no difference.
    if (Object.keys(details).length === 0) return { changes: state["result"] !== "passed" };
    const changed = [...new Set(Object.keys(details).map((path) => path.split(/[.[]/)[0] ?? ""))];
    return { changes: true, changed, details };
  }

  async create(urn: string, inputs: Unwrapped): Promise<{ id: string; outs: Properties }> {
    return { id: "storage-probe", outs: await this.#probe("storage-probe", urn, inputs) };
  }

  async update(id: string, urn: string, state: Properties, news: Unwrapped): Promise<Properties> {
    if (
      Object.keys(triggerDifferences(this.inputsOf(state), news.values)).length === 0 &&
      state["result"] === "passed"
    )
      return wrap({ ...news.values, ...keptOutputs(state) }, [...news.secrets, ...alwaysSecret]);
    return this.#probe(id, urn, news);
  }

  inputsOf(state: Properties): Properties {
    return Object.fromEntries(Object.entries(state).filter(([key]) => !outputNames.includes(key)));
  }

  async #connect(kubeconfig: string): Promise<ProbeCluster> {
    if (this.#surroundings.connectProbe !== undefined) return this.#surroundings.connectProbe(kubeconfig);
    // The client library is slow to load.
    const { connectProbe } = await import("./api.ts");
    return connectProbe(kubeconfig);
  }

  async #probe(id: string, urn: string, { values, secrets }: Unwrapped): Promise<Properties> {
    const { clock } = this.#surroundings;
    const sink = this.#surroundings.statusOf(urn);
    const { kubeconfig, storageClasses, image, size, ...others } = withDefaults(storageProbeSchema, values);
    const { concurrency, timeoutSeconds, tolerations } = others;
    const site = { clock, signal: this.#stop, tell: (line: string) => sink.status(line) };
    const report = await runProbe(
      await this.#connect(kubeconfig),
      { classes: storageClasses, image, size, concurrency, timeoutSeconds, tolerations },
      site,
    );
    for (const namespace of report.removed)
      sink.info(`removed ${namespace}, which an earlier probe had left`);
    for (const { storageClass, node, why } of report.skipped)
      sink.info(`${storageClass} was not probed on ${node}: ${why}`);
    const outs = wrap({ ...values, ...probeOutputs(report, clock.calendar?.() ?? Date.now()) }, [
      ...secrets,
      ...alwaysSecret,
    ]);
    if (report.result === "passed") {
      sink.info(
        `storage works: ${report.volumes.length} volumes were written on one node and read on another`,
      );
      return outs;
    }
    // The state records the failure, and the next `up` probes again.
    throw new UnfinishedError(describeFailure(report), id, outs);
  }
}

function probeOutputs({ result, volumes, skipped }: ProbeReport, now: number): Properties {
  return { result, volumes, skipped, probed: new Date(now).toISOString() };
}

function keptOutputs(state: Properties): Properties {
  return Object.fromEntries(Object.entries(state).filter(([key]) => outputNames.includes(key)));
}

function describeFailure(report: ProbeReport): string {
  const failed = report.volumes.filter(({ result }) => result === "failed").length;
  const rest = report.left.length === 0 ? "Everything that the probe created was removed. " : "";
  return [
    `${coded("storage-probe", `storage does not work: ${failed} of ${report.volumes.length} volumes failed`)}.`,
    ...probeProblems(report).map((line) => `  ${line}`),
    `${rest}Fix the driver or its array, then run \`pulumi up\` again, which repeats the probe; \`npm run storage:probe -- --stack <stack>\` runs only the probe.`,
  ].join("\n");
}

/** The changes that trigger a probe: each node and each part of the driver separately. */
function triggerDifferences(before: Properties, after: Properties): Details {
  const details: Details = changedInputs(before, after, [...mannerProperties, ...triggerProperties]);
  for (const trigger of triggerProperties) {
    const changed = changedInputs({ [trigger]: before[trigger] }, { [trigger]: after[trigger] });
    const [old, now] = [before[trigger], after[trigger]];
    if (!isRecord(old) || !isRecord(now)) Object.assign(details, changed);
    else
      for (const [name, kind] of Object.entries(changedInputs(old, now)))
        details[propertyPath(trigger, name)] = kind;
  }
  return details;
}
