import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { askLab, labReport, type NodeReport } from "../../lab/control.ts";
import type { FaultRequest } from "../../lab/faultControl.ts";
import { LabProject, type Finished } from "./project.ts";

/** A lab for a series of rollouts: fast machines, short timeouts, and only the rollout in the stack. */
export class RolloutLab {
  readonly project: LabProject;

  /**
   * @param upgrade more settings for `upgrade`, one per line
   * @param change edits the stack file before the lab starts
   * @param talosVersion the version that the cluster was created with
   * @param more more arguments for `lab start`
   */
  static async start(
    nodeSeconds: number,
    upgrade = ["drain: { timeout: 3s }"],
    {
      change = (text: string) => text,
      talosVersion,
      more = [],
    }: { change?: (text: string) => string; talosVersion?: string; more?: readonly string[] } = {},
  ): Promise<RolloutLab> {
    const lab = new RolloutLab(await LabProject.make());
    try {
      lab.#edit((text) =>
        change(text)
          .replace(/ {2}talos-iscsi:joviandss:\n(?: {4}.*\n)*/, "")
          .replace(
            "encryptionsalt:",
            ["  talos-iscsi:upgrade:", "timeout: 15s", ...upgrade].join("\n    ") + "\nencryptionsalt:",
          ),
      );
      const made = talosVersion === undefined ? [] : ["--talos-version", talosVersion];
      await lab.project.labOk("start", "--node-seconds", String(nodeSeconds), ...made, ...more);
      return lab;
    } catch (error) {
      await lab.project.remove();
      throw error;
    }
  }

  private constructor(project: LabProject) {
    this.project = project;
  }

  /** Sets the release that the nodes should run. */
  want(version: string): void {
    this.#edit((text) => text.replace(/talosVersion: \S+/, `talosVersion: ${version}`));
  }

  /** Sets the Kubernetes version that the cluster should run. */
  wantKubernetes(version: string): void {
    this.#edit((text) => text.replace(/kubernetesVersion: \S+/, `kubernetesVersion: ${version}`));
  }

  /** Adds a name to every kube-apiserver's certificate, which restarts it. */
  alsoServe(name: string): void {
    const patch = { cluster: { apiServer: { certSANs: [name] } } };
    this.#edit((text) =>
      text.replace("    secrets:\n", `    patches: { controlplane: [${JSON.stringify(patch)}] }\n$&`),
    );
  }

  /** Sets the days (UTC) on which nodes may be taken down. */
  onlyOn(...days: string[]): void {
    this.#edit((text) =>
      text
        .replace(/ {4}windows:.*\n/, "")
        .replace(
          "  talos-iscsi:upgrade:\n",
          `$&    windows: [{ days: [${days.join(", ")}], from: "00:00", to: "24:00", timeZone: UTC }]\n`,
        ),
    );
  }

  /** Sets the gates that must pass before each node. */
  gates(...gates: object[]): void {
    this.#edit((text) =>
      text
        .replace(/ {4}gates:.*\n/, "")
        .replace("  talos-iscsi:upgrade:\n", `$&    gates: ${JSON.stringify(gates)}\n`),
    );
  }

  /** Skips the preview, because there are many calls and other tests cover previews. */
  up(): Promise<Finished> {
    return this.project.lab("up", "--skip-preview");
  }

  /** An `up` that must succeed. */
  async finish(): Promise<Finished> {
    const finished = await this.up();
    // A warning may quote an "rpc error:" that was tolerated.
    expect(finished.text.slice(-6_000)).not.toMatch(/^\s*error:/m);
    expect(finished.code).toBe(0);
    return finished;
  }

  /** An `up` that gets a Ctrl-C, as from a terminal, once its output matches. */
  interrupted(at: RegExp): Promise<Finished> {
    return this.project.run(process.execPath, [join("lab", "cli.ts"), "up", "--skip-preview"], {}, at);
  }

  async nodes(): Promise<NodeReport[]> {
    const report = await labReport(this.project.file("lab.sock"));
    if (report === undefined) throw new Error("the lab does not run any more");
    return report.nodes;
  }

  /** The number of upgrades of each node. */
  async upgrades(): Promise<Record<string, number>> {
    return Object.fromEntries((await this.nodes()).map(({ name, upgrades }) => [name, upgrades]));
  }

  async fault(request: FaultRequest): Promise<void> {
    await askLab(this.project.file("lab.sock"), { method: "POST", path: "/fault", body: request });
  }

  /** Lifts every fault and waits until all machines are running and ready again. */
  async lift(): Promise<void> {
    for (const { name } of await this.nodes()) await this.fault({ node: name, fault: "all", lift: true });
    const limit = Date.now() + 60_000;
    for (;;) {
      const down = (await this.nodes()).filter(({ stage, ready }) => stage !== "running" || !ready);
      if (down.length === 0) return;
      if (Date.now() > limit) throw new Error(`not ready again: ${down.map(({ name }) => name).join(", ")}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  /** Names of the cordoned nodes. */
  async cordoned(): Promise<string[]> {
    const list = await this.project.tool("kubectl", "get", "nodes", "--output", "json");
    const { items } = JSON.parse(list) as {
      items: { metadata: { name: string }; spec: { unschedulable?: boolean } }[];
    };
    return items.filter(({ spec }) => spec.unschedulable === true).map(({ metadata }) => metadata.name);
  }

  #edit(change: (text: string) => string): void {
    const file = join(this.project.dir, "Pulumi.dev.yaml");
    const before = readFileSync(file, "utf8");
    const after = change(before);
    if (after === before) throw new Error("the change of the stack's file changed nothing");
    writeFileSync(file, after);
  }
}
