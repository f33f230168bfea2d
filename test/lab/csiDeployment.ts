import { mkdirSync, readFileSync, symlinkSync } from "node:fs";
import { delimiter, join } from "node:path";
import { pathToFileURL } from "node:url";
import * as kubernetes from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import { LocalWorkspace, PulumiCommand } from "@pulumi/pulumi/automation/index.js";
import type { EngineEvent, Stack } from "@pulumi/pulumi/automation/index.js";
import { JovianDssCsi } from "../../components/csi/joviandss.ts";
import type { JovianDssCsiArgs } from "../../components/csi/joviandss.ts";
import { SnapshotController } from "../../components/csi/snapshots.ts";
import { SynologyCsi } from "../../components/csi/synology.ts";
import type { SynologyCsiArgs } from "../../components/csi/synology.ts";
import type { ClusterFixture } from "./clusterFixture.ts";

/** What the program should deploy. Tests change it between runs, like a user changes a stack file. */
export interface WantedDrivers {
  joviandss: JovianDssCsiArgs;
  synology: SynologyCsiArgs;
}

/** Both drivers with every option: several replicas, snapshots, nsenter. */
export const everyOption: WantedDrivers = {
  joviandss: {
    image: "docker.io/opene/joviandss-csi:v1.1.0",
    endpoint: { addresses: ["192.168.0.100"], user: "admin", password: "first-jdss-password" },
    iscsi: { addresses: ["192.168.0.100"] },
    pools: [{ name: "Pool-0" }],
    snapshots: { enabled: true },
    controller: { replicas: 2 },
  },
  synology: {
    arrays: [{ host: "192.168.0.20", username: "kubernetes", password: "first-syno-password" }],
    storageClasses: [
      { name: "synology-iscsi-storage", default: true },
      { name: "synology-smb", protocol: "smb", nodeStageSecret: { name: "smb", namespace: "default" } },
      { name: "synology-nfs", protocol: "nfs", mountPermissions: "0770" },
    ],
    snapshots: { enabled: true, description: "by Kubernetes" },
    iscsiadm: { strategy: "nsenter" },
  },
};

/** A cluster object as stored in the state. */
export interface Deployed {
  urn: string;
  type: string;
  inputs: {
    apiVersion: string;
    kind: string;
    metadata: { name: string; namespace?: string };
    [key: string]: unknown;
  };
}

/** The drivers on a lab cluster, deployed by the real engine. */
export class CsiDeployment {
  readonly #stack: Stack;
  readonly #stateFile: string;
  readonly #wish: { current: WantedDrivers };

  private constructor(stack: Stack, stateFile: string, wish: { current: WantedDrivers }) {
    this.#stack = stack;
    this.#stateFile = stateFile;
    this.#wish = wish;
  }

  static async prepare(cluster: ClusterFixture): Promise<CsiDeployment> {
    const wish = { current: everyOption };
    const bin = join(cluster.directory, "bin");
    const state = join(cluster.directory, "state");
    for (const folder of [bin, state]) mkdirSync(folder);
    for (const name of ["pulumi", "pulumi-resource-kubernetes"] as const)
      symlinkSync(cluster.tools[name], join(bin, name));
    symlinkSync(process.execPath, join(bin, "node"));
    const environment = {
      PATH: [bin, process.env["PATH"] ?? ""].join(delimiter),
      PULUMI_BACKEND_URL: pathToFileURL(state).href,
      PULUMI_CONFIG_PASSPHRASE: "test",
      PULUMI_HOME: join(cluster.directory, "pulumi-home"),
      PULUMI_SKIP_UPDATE_CHECK: "true",
      PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION: "true",
    };
    Object.assign(process.env, environment);
    const program = () => writeProject(cluster.runtime.adminKubeconfig(), wish.current);
    const stack = await LocalWorkspace.createOrSelectStack(
      { stackName: "test", projectName: "csi", program },
      { pulumiCommand: await PulumiCommand.get({ skipVersionCheck: true }), envVars: environment },
    );
    return new CsiDeployment(stack, join(state, ".pulumi", "stacks", "csi", "test.json"), wish);
  }

  wants(wish: WantedDrivers): void {
    this.#wish.current = wish;
  }

  async up(): Promise<void> {
    await this.#stack.up();
  }

  /** Fails if anything would change. */
  async settled(): Promise<void> {
    await this.#stack.up({ expectNoChanges: true });
  }

  async destroy(): Promise<void> {
    await this.#stack.destroy();
  }

  /** The steps that change something, by resource name, and the preview's output about them. */
  async preview(): Promise<{ steps: Record<string, string>; text: string }> {
    const steps: Record<string, string> = {};
    const lines: string[] = [];
    await this.#stack.preview({
      diff: true,
      onOutput: (line) => lines.push(line),
      onEvent: ({ resourcePreEvent }: EngineEvent) => {
        const step = resourcePreEvent?.metadata;
        if (step === undefined || !step.type.startsWith("kubernetes:")) return;
        if (["same", "create-replacement", "delete-replaced"].includes(step.op)) return;
        steps[step.urn.split("::").at(-1) ?? ""] = step.op;
      },
    });
    return { steps, text: lines.join("") };
  }

  /** The state as the backend stores it, with encrypted secrets. */
  stateText(): string {
    return readFileSync(this.#stateFile, "utf8");
  }

  /** The objects as the provider sends them, from the state. A Secret's content is omitted. */
  objects(): Deployed[] {
    const { checkpoint } = JSON.parse(this.stateText()) as {
      checkpoint: { latest: { resources: Deployed[] } };
    };
    return checkpoint.latest.resources
      .filter(({ type }) => type.startsWith("kubernetes:"))
      .map((resource) => {
        const { data, stringData: _plain, ...others } = resource.inputs;
        const inputs = resource.inputs.kind === "Secret" || data === undefined ? others : { ...others, data };
        return { ...resource, inputs: withWireNames(inputs) as Deployed["inputs"] };
      });
  }
}

async function writeProject(kubeconfig: string, wish: WantedDrivers): Promise<void> {
  const provider = new kubernetes.Provider("lab", {
    kubeconfig: pulumi.secret(kubeconfig),
    enableSecretMutable: true,
  });
  const snapshots = new SnapshotController("snapshots", {}, { provider });
  const options = { provider, dependsOn: [snapshots] };
  new JovianDssCsi("joviandss", wish.joviandss, options);
  new SynologyCsi("synology", wish.synology, options);
}

// Pulumi's names for fields such as x-kubernetes-validations have underscores.
function withWireNames(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withWireNames);
  if (typeof value !== "object" || value === null) return value;
  const name = (key: string) => (key.startsWith("x_kubernetes_") ? key.replaceAll("_", "-") : key);
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [name(key), withWireNames(inner)]));
}
