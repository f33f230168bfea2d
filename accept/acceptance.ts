import { digestFromText } from "../report/digest/read.ts";
import { DigestError, type Digest } from "../report/digest/digest.ts";
import { countsOf, type Counts } from "../report/model/resources.ts";
import { hasCode } from "../talos/errorCodes.ts";
import { AcceptError } from "./acceptError.ts";
import { bootsBetween, type FoundNode } from "./nodes.ts";
import { summarizeFailure, type Finished, type Pulumi } from "./pulumiCommand.ts";
import { readNodes, readOutputs, type StackOutputs, type WantedNode } from "./stackState.ts";
import { probeProblems, type ProbeReport } from "../provider/storage/probe/report.ts";

/** How a step of the acceptance run went. A step that was not made says why. */
export interface StepResult {
  step: StepName;
  result: "passed" | "failed" | "skipped";
  /** One sentence. */
  summary: string;
  /** What is wrong, a line each. */
  problems: string[];
  seconds?: number;
}

export type StepName = "preview" | "up" | "second up" | "no reboot" | "no drift" | "nodes" | "storage probe";

export interface Acceptance {
  stack: string;
  /** Whether the stack was deployed, or only looked at. */
  deployed: boolean;
  /** ISO 8601, UTC. */
  started: string;
  result: "passed" | "failed";
  steps: StepResult[];
  /** Every node as it was at the end. */
  nodes: FoundNode[];
  /** What the storage probe found. Absent where it was not made. */
  storage?: ProbeReport;
}

/** What an acceptance run asks of the world. */
export interface AcceptEnvironment {
  pulumi: Pulumi;
  /** Reads the nodes; changes nothing. */
  look(nodes: readonly WantedNode[], outputs: StackOutputs): Promise<FoundNode[]>;
  /** Proves that a volume of each class works on each node. */
  probe(outputs: StackOutputs): Promise<ProbeReport>;
  now(): Date;
  /** One line about what happens now. */
  say(line: string): void;
}

/**
 * Is this stack what it has to be, on the cluster that it is deployed on? Without `up` nothing is changed.
 * @throws AcceptError where the question cannot be asked.
 */
export async function runAcceptance(
  stack: string,
  { up }: { up: boolean },
  world: AcceptEnvironment,
): Promise<Acceptance> {
  const run = new AcceptanceRun(world);
  const started = world.now().toISOString();
  await run.preview();
  if (up && run.passed) await run.deploy();
  const outputs = await readOutputs(world.pulumi);
  if (outputs === undefined) {
    if (run.passed) throw new AcceptError(`${stack} has never been deployed; deploy it here with --up`);
    return run.finished(stack, up, started);
  }
  const wanted = await readNodes(world.pulumi);
  if (up && run.passed) await run.upAgain(wanted, outputs);
  await run.drift();
  await run.lookAt(wanted, outputs);
  if (up && run.passed && outputs.storageClasses.length > 0) await run.probe(outputs);
  else
    run.skip(
      "storage probe",
      outputs.storageClasses.length === 0
        ? "No CSI driver with a StorageClass is deployed."
        : up
          ? "An earlier step failed."
          : "It creates a volume, so it needs --up.",
    );
  return run.finished(stack, up, started);
}

class AcceptanceRun {
  readonly #world: AcceptEnvironment;
  readonly #steps: StepResult[] = [];
  #nodes: FoundNode[] = [];
  #storage: ProbeReport | undefined;

  constructor(world: AcceptEnvironment) {
    this.#world = world;
  }

  get passed(): boolean {
    return this.#steps.every(({ result }) => result !== "failed");
  }

  async preview(): Promise<void> {
    const finished = await this.#pulumi("preview", "--json");
    const digest = parseDigest(finished);
    if (finished.code !== 0 || digest === undefined || digest.failed) {
      const errors = digest?.messages.filter(({ severity }) => severity === "error").map(({ text }) => text);
      const problems = errors === undefined || errors.length === 0 ? [summarizeFailure(finished)] : errors;
      this.#record("preview", problems, "The preview failed.", finished.seconds);
      return;
    }
    this.#record("preview", [], `The preview succeeded: ${countsText(countsOf(digest))}.`, finished.seconds);
  }

  async deploy(): Promise<void> {
    const finished = await this.#pulumi("up", "--yes", "--skip-preview");
    this.#recordCommand("up", finished, "The stack was deployed.", "The deployment failed.");
  }

  /** A second `up` has nothing to do, and no node boots for it. */
  async upAgain(wanted: readonly WantedNode[], outputs: StackOutputs): Promise<void> {
    const before = await this.#world.look(wanted, outputs);
    const finished = await this.#pulumi("up", "--yes", "--skip-preview", "--expect-no-changes");
    this.#recordCommand(
      "second up",
      finished,
      "A second `up` changed nothing.",
      "A second `up` changed something.",
    );
    const boots = bootsBetween(before, await this.#world.look(wanted, outputs));
    this.#record("no reboot", boots, boots.length === 0 ? "It rebooted no node." : "Nodes were rebooted.");
  }

  async drift(): Promise<void> {
    const finished = await this.#pulumi("refresh", "--preview-only", "--expect-no-changes", "--diff");
    // A node that could not be read keeps its state, which is no change.
    if (finished.code === 0 && hasCode(`${finished.stdout}\n${finished.stderr}`, "node-unreachable"))
      this.#record(
        "no drift",
        ["Not every node could be read; the step `nodes` says why."],
        "The cluster could not be compared with the stack's state.",
        finished.seconds,
      );
    else
      this.#recordCommand("no drift", finished, "The cluster matches the stack's state.", "There is drift.");
  }

  async lookAt(wanted: readonly WantedNode[], outputs: StackOutputs): Promise<void> {
    this.#world.say("reading the nodes");
    this.#nodes = await this.#world.look(wanted, outputs);
    const problems = this.#nodes.flatMap(({ name, problems: own }) => own.map((text) => `${name} ${text}`));
    const sound = `Release, schematic, extensions, services and files of ${this.#nodes.length} nodes are as expected.`;
    const none = this.#nodes.length === 0 ? ["The stack's state has no nodes."] : [];
    this.#record(
      "nodes",
      [...none, ...problems],
      problems.length === 0 ? sound : "Nodes are not as expected.",
    );
  }

  async probe(outputs: StackOutputs): Promise<void> {
    this.#world.say(`probing ${outputs.storageClasses.join(", ")}`);
    this.#storage = await this.#world.probe(outputs);
    const { result, volumes } = this.#storage;
    const problems = probeProblems(this.#storage);
    this.#record(
      "storage probe",
      problems.length > 0 || result === "passed" ? problems : ["No volume was probed."],
      result === "passed"
        ? `${volumes.length} volumes were written on one node and read on another.`
        : "Volumes do not work.",
    );
  }

  skip(step: StepName, summary: string): void {
    this.#steps.push({ step, result: "skipped", summary, problems: [] });
  }

  finished(stack: string, deployed: boolean, started: string): Acceptance {
    return {
      stack,
      deployed,
      started,
      result: this.passed ? "passed" : "failed",
      steps: this.#steps,
      nodes: this.#nodes,
      ...(this.#storage === undefined ? {} : { storage: this.#storage }),
    };
  }

  #pulumi(...args: string[]): Promise<Finished> {
    this.#world.say(`pulumi ${args.join(" ")}`);
    return this.#world.pulumi(...args);
  }

  #recordCommand(step: StepName, finished: Finished, good: string, bad: string): void {
    this.#record(
      step,
      finished.code === 0 ? [] : [summarizeFailure(finished)],
      finished.code === 0 ? good : bad,
      finished.seconds,
    );
  }

  #record(step: StepName, problems: string[], summary: string, seconds?: number): void {
    const result = problems.length === 0 ? "passed" : "failed";
    this.#steps.push({ step, result, summary, problems, ...(seconds === undefined ? {} : { seconds }) });
  }
}

function parseDigest({ stdout }: Finished): Digest | undefined {
  try {
    return digestFromText(stdout);
  } catch (error) {
    if (error instanceof DigestError) return undefined;
    throw error;
  }
}

function countsText({ create, update, replace, delete: removed, same }: Counts): string {
  const parts = [
    [create, "to create"],
    [update, "to update"],
    [replace, "to replace"],
    [removed, "to delete"],
    [same, "unchanged"],
  ].filter(([count]) => count !== 0);
  return parts.map(([count, what]) => `${count} ${what}`).join(", ");
}
