import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseAllDocuments } from "yaml";
import { KubernetesRuntime } from "../../lab/kubernetes/runtime.ts";
import type { NodeIdentity } from "../../lab/node/machine/runtime.ts";
import { resolveTools } from "../../tools/resolve.ts";

type Documents = Record<string, unknown>[];

/** Machine configurations that the real talosctl made. */
export interface GeneratedConfigurations {
  controlPlane: Documents;
  worker: Documents;
}

/** A Kubernetes of the lab without simulated nodes: the test plays them. */
export class ClusterFixture {
  readonly runtime: KubernetesRuntime;
  readonly directory: string;
  readonly tools: Record<"pulumi" | "kubectl" | "talosctl" | "pulumi-resource-kubernetes", string>;
  readonly configurations: GeneratedConfigurations;
  readonly log: string[];

  private constructor(
    runtime: KubernetesRuntime,
    directory: string,
    tools: ClusterFixture["tools"],
    configurations: GeneratedConfigurations,
    log: string[],
  ) {
    this.runtime = runtime;
    this.directory = directory;
    this.tools = tools;
    this.configurations = configurations;
    this.log = log;
  }

  /** Nothing runs yet. */
  static async create(endpoint: string, talosContract = "v1.12"): Promise<ClusterFixture> {
    const tools = await resolveTools([
      "pulumi",
      "talosctl",
      "kubectl",
      "etcd",
      "kube-apiserver",
      "kube-controller-manager",
      "kube-scheduler",
      "kwok",
      "pulumi-resource-kubernetes",
    ]);
    const directory = mkdtempSync(join(tmpdir(), "talos-iscsi-test-"));
    const log: string[] = [];
    const runtime = new KubernetesRuntime({
      directory: join(directory, "kubernetes"),
      tools,
      log: (line) => log.push(line),
    });
    const configurations = generate(tools.talosctl, join(directory, "talos"), endpoint, talosContract);
    return new ClusterFixture(runtime, directory, tools, configurations, log);
  }

  /** The nodes apply their configurations, the first one is bootstrapped, all kubelets start. */
  async boot(nodes: readonly NodeIdentity[]): Promise<void> {
    const { controlPlane, worker } = this.configurations;
    for (const node of nodes) {
      await this.runtime.configActive(node, node.role === "controlplane" ? controlPlane : worker);
    }
    const [first] = nodes;
    if (first === undefined) throw new Error("a cluster needs a node");
    await this.runtime.bootstrapped(first);
    await Promise.all(nodes.map((node) => this.runtime.kubeletUp(node)));
    await this.runtime.settled();
  }

  kubectl(args: string[], input?: string): string {
    return execFileSync(this.tools.kubectl, [`--kubeconfig=${this.runtime.adminKubeconfigFile}`, ...args], {
      encoding: "utf8",
      stdio: [input === undefined ? "ignore" : "pipe", "pipe", "pipe"],
      ...(input === undefined ? {} : { input }),
    });
  }

  /** kubectl's answer as data. */
  object<T>(args: string[]): T {
    return JSON.parse(this.kubectl([...args, "--output=json"])) as T;
  }

  async destroy(): Promise<void> {
    await this.runtime.stop();
    rmSync(this.directory, { recursive: true, force: true });
  }
}

export function node(
  name: string,
  address: string,
  role: NodeIdentity["role"],
  talosVersion = "v1.13.9",
): NodeIdentity {
  return { name, address, role, talosVersion };
}

/** Asks until the answer is the wanted one; afterwards the last answer speaks for itself in an assertion. */
export async function eventually<T>(
  ask: () => T | Promise<T>,
  wanted: (answer: T) => boolean,
  seconds = 30,
): Promise<T> {
  const deadline = Date.now() + seconds * 1000;
  for (;;) {
    const answer = await ask();
    if (wanted(answer) || Date.now() > deadline) return answer;
    await sleep(200);
  }
}

function generate(
  talosctl: string,
  folder: string,
  endpoint: string,
  contract: string,
): GeneratedConfigurations {
  const args = ["gen", "config", "lab-test", endpoint, `--output=${folder}`, `--talos-version=${contract}`];
  execFileSync(
    talosctl,
    [...args, "--kubernetes-version=1.35.2", "--with-docs=false", "--with-examples=false"],
    {
      stdio: "ignore",
    },
  );
  const read = (file: string): Documents =>
    parseAllDocuments(readFileSync(join(folder, file), "utf8")).map(
      (document) => document.toJS() as Documents[number],
    );
  return { controlPlane: read("controlplane.yaml"), worker: read("worker.yaml") };
}
