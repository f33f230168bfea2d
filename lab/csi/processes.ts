import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { resolveTools } from "../../tools/resolve.ts";
import type { StorageArray, ArrayContents } from "../arrays/array.ts";
import type { Container } from "./container.ts";
import { drivers } from "./drivers.ts";
import type { DriverName, DriverUnderTest } from "./drivers.ts";
import { removeFromPods } from "./removableParts.ts";
import type { RemovablePart } from "./removableParts.ts";
import { KubeletNode } from "./kubelet.ts";
import { findManifest } from "./manifests.ts";
import type { Manifest, Workload } from "./manifests.ts";
import { renderProgram } from "./render.ts";

export interface ProcessesOptions {
  driver: DriverName;
  /** The vendor's own binary. Default: the driver in tools/csi/driver, which makes the same demands. */
  binary?: string | undefined;
  /** Removes something from the rendered pods, to check that its absence is noticed. */
  without?: RemovablePart | undefined;
  log?: (line: string) => void;
}

/** A call of the kubelet's sequence. */
export interface Step {
  step: string;
  error?: string;
}

/** A case of the sanity suite. */
export interface SanityCase {
  name: string;
  state: "passed" | "failed" | "skipped";
  message?: string;
  /** Why it is known to fail. */
  known?: string;
}

export interface ProcessesReport {
  /** Containers of the rendered pods, and how their processes ended that weren't stopped by us. */
  started: { name: string; exits: string[]; output: string }[];
  /** Containers that weren't started here. */
  others: string[];
  steps: Step[];
  sanity: SanityCase[];
  /** What is left on the array after all volumes were deleted. */
  left: ArrayContents;
}

/** Every problem of the driver or of its deployment; empty if there is none. */
export function processProblems({ steps, sanity }: ProcessesReport): string[] {
  return [
    ...steps.flatMap(({ step, error }) => (error === undefined ? [] : [`${step}: ${error}`])),
    ...sanity.flatMap(({ name, state, known, message = "" }) =>
      state === "failed" && known === undefined ? [`${name}: ${message}`] : [],
    ),
  ];
}

/** Renders a driver's objects, starts their processes as the kubelet does, and calls them as the kubelet and the sanity suite do. */
export async function runProcesses(options: ProcessesOptions): Promise<ProcessesReport> {
  const known: DriverUnderTest = drivers[options.driver];
  const tools = await resolveTools(["csi-driver", "csi-sanity"]);
  const folder = mkdtempSync(join(tmpdir(), "csi-array-"));
  const array = await known.array(folder);
  let node: KubeletNode | undefined;
  try {
    const manifests = await renderProgram(() => known.deploy(array.port));
    if (options.without !== undefined) removeFromPods(manifests, options.without);
    node = await KubeletNode.create("w1", folder, tools["csi-driver"]);
    node.install("/lab/csi-sanity", tools["csi-sanity"]);
    const run = new ProcessRun(options, known, manifests, node, array, options.binary ?? tools["csi-driver"]);
    return await run.all();
  } finally {
    await node?.stop();
    await array.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

class ProcessRun {
  readonly #options: ProcessesOptions;
  readonly #known: DriverUnderTest;
  readonly #manifests: readonly Manifest[];
  readonly #node: KubeletNode;
  readonly #array: StorageArray;
  readonly #binary: string;
  readonly #steps: Step[] = [];

  constructor(
    options: ProcessesOptions,
    known: DriverUnderTest,
    manifests: readonly Manifest[],
    node: KubeletNode,
    array: StorageArray,
    binary: string,
  ) {
    this.#options = options;
    this.#known = known;
    this.#manifests = manifests;
    this.#node = node;
    this.#array = array;
    this.#binary = binary;
  }

  async all(): Promise<ProcessesReport> {
    const { controller, node } = this.#known;
    const deployment = findManifest(this.#manifests, "Deployment", controller.workload) as Workload;
    const daemonSet = findManifest(this.#manifests, "DaemonSet", node.workload) as Workload;
    const containers = [
      ...this.#start(deployment, controller.container),
      ...this.#start(daemonSet, node.container),
    ];
    const sanity: SanityCase[] = [];
    if (await this.#listening(containers)) {
      await this.#lifeOfAVolume(containers);
      if (this.#options.without === undefined) sanity.push(...(await this.#sanity()));
    } else {
      this.#steps.push({ step: "the processes start", error: "not all of them listen on their socket" });
    }
    return {
      started: containers.map(({ name, exits, output }) => ({ name, exits: [...exits], output })),
      others: [deployment, daemonSet].flatMap(({ metadata, spec }) =>
        spec.template.spec.containers
          .filter(({ name }) => name !== controller.container && name !== node.container)
          .map(({ name }) => `${metadata.name}/${name}`),
      ),
      steps: this.#steps,
      sanity,
      left: this.#array.contents(),
    };
  }

  #start(workload: Workload, container: string): Container[] {
    const { entryPoint, programs } = this.#known;
    const image = { entryPoint, programs, binary: this.#binary };
    return this.#node.start(workload, {
      images: { [container]: image },
      manifests: this.#manifests,
      // Nothing calls the API here, but a driver that needs a client creates it from this.
      api: { host: "127.0.0.1", port: 6443, authority: "", token: () => "a-token" },
      log: this.#options.log ?? (() => undefined),
    });
  }

  get #controllerSocket(): string {
    const { workload } = this.#known.controller;
    return `/var/lib/kubelet/pods/${workload}/volumes/kubernetes.io~empty-dir/socket-dir/csi.sock`;
  }

  get #nodeSocket(): string {
    return `/var/lib/kubelet/plugins/${this.#known.driverName}/csi.sock`;
  }

  // A process that has exited three times won't come up; its output is in the report.
  async #listening(containers: readonly Container[]): Promise<boolean> {
    const sockets = [this.#controllerSocket, this.#nodeSocket];
    for (let tries = 0; tries < 300; tries += 1) {
      if (containers.some(({ exits }) => exits.length >= 3)) return false;
      if (sockets.every((socket) => existsSync(this.#node.path(socket)))) return true;
      await sleep(100);
    }
    return false;
  }

  async #lifeOfAVolume(containers: readonly Container[]): Promise<void> {
    await this.#kubelet("use");
    await this.#kubelet("again");
    // The driver's own pod restarts, as in a rollout, and then the kubelet.
    for (const container of containers) await container.restart();
    await sleep(500);
    await this.#listening(containers);
    await this.#kubelet("again");
    await this.#kubelet("release");
    const { volumes, targets } = this.#array.contents();
    const left = [...volumes, ...targets];
    this.#steps.push({
      step: "nothing is left on the array",
      ...(left.length > 0 ? { error: left.join(", ") } : {}),
    });
  }

  async #kubelet(part: string): Promise<void> {
    if (this.#steps.some(({ error }) => error !== undefined)) return;
    const { output, code } = await this.#node.run([
      "/lab/kubelet",
      `--part=${part}`,
      `--controller=${this.#controllerSocket}`,
      `--node=${this.#nodeSocket}`,
      "--state=/lab/kubelet.json",
      `--parameters=${JSON.stringify(this.#known.parameters)}`,
    ]);
    const lines = output.split("\n").filter((line) => line.startsWith("{"));
    this.#steps.push(...lines.map((line) => JSON.parse(line) as Step));
    if (code !== 0 && !this.#steps.some(({ error }) => error !== undefined)) {
      this.#steps.push({ step: `the kubelet's part ${part}`, error: output.trim() });
    }
  }

  async #sanity(): Promise<SanityCase[]> {
    const report = "/lab/sanity.json";
    const { output } = await this.#node.run(
      [
        "/lab/csi-sanity",
        `--csi.endpoint=unix://${this.#nodeSocket}`,
        `--csi.controllerendpoint=unix://${this.#controllerSocket}`,
        // The kubelet's folders are the only ones that a driver's container has.
        "--csi.mountdir=/var/lib/kubelet/pods/sanity",
        "--csi.stagingdir=/var/lib/kubelet/plugins/sanity",
        `--csi.testvolumesize=${this.#known.volumeBytes}`,
        `--csi.testvolumeexpandsize=${2 * this.#known.volumeBytes}`,
        `--csi.testvolumeparameters=${this.#file("parameters.yaml", this.#known.parameters)}`,
        `--ginkgo.json-report=${report}`,
        "--ginkgo.seed=1",
        ...this.#leftOut(),
      ],
      this.#options.log,
    );
    const file = this.#node.path(report);
    if (!existsSync(file)) throw new Error(`the sanity suite wrote no report:\n${output}`);
    const ours = this.#options.binary === undefined;
    return parseCases(readFileSync(file, "utf8")).map((one) => {
      const defect = this.#known.defects.find(
        (known) => (!ours || known.ours === true) && one.name.includes(known.cases),
      );
      return defect === undefined || one.state === "passed" ? one : { ...one, known: defect.why };
    });
  }

  #leftOut(): string[] {
    if (this.#options.binary === undefined) return [];
    const ending = this.#known.defects.filter(({ ends }) => ends === true).map(({ cases }) => cases);
    return ending.length === 0 ? [] : [`--ginkgo.skip=${ending.join("|")}`];
  }

  #file(name: string, content: object): string {
    writeFileSync(this.#node.path(`/lab/${name}`), JSON.stringify(content));
    return `/lab/${name}`;
  }
}

/** Ginkgo's JSON report (github.com/onsi/ginkgo/v2/types, Report). */
interface SuiteReport {
  SpecReports: {
    ContainerHierarchyTexts: string[] | null;
    LeafNodeText: string;
    LeafNodeType: string;
    State: string;
    Failure?: { Message: string };
  }[];
}

function parseCases(text: string): SanityCase[] {
  const suites = JSON.parse(text) as SuiteReport[];
  return suites.flatMap(({ SpecReports }) =>
    SpecReports.filter(({ LeafNodeType, State }) => LeafNodeType === "It" && State !== "pending").map(
      (spec) => ({
        name: [...(spec.ContainerHierarchyTexts ?? []), spec.LeafNodeText].join(" "),
        state: spec.State === "passed" || spec.State === "skipped" ? spec.State : "failed",
        ...(spec.Failure === undefined ? {} : { message: spec.Failure.Message }),
      }),
    ),
  );
}
