import { z } from "zod";
import { parseTalosconfig } from "../talos/secretsBundle.ts";
import type { Endpoints } from "../talos/endpoint.ts";
import type { TalosCredentials } from "../talos/api/credentials.ts";
import { kubernetesComponents } from "../talos/kubernetesImages.ts";
import type { WantedKubernetes } from "./kubernetes.ts";
import { AcceptError } from "./acceptError.ts";
import { summarizeFailure, type Pulumi } from "./pulumiCommand.ts";

/** What a node has to run, as the stack was deployed last. */
export interface WantedNode {
  name: string;
  address: string;
  role: "controlplane" | "worker";
  /** Where it is reached; absent: at its own address. */
  endpoints?: Endpoints | undefined;
  talosVersion: string;
  schematicId: string;
  extensions: string[];
  services: string[];
  files: string[];
  /** Absent where the stack leaves Kubernetes as it is. */
  kubernetes?: WantedKubernetes | undefined;
}

/** What the stack gives to those who use its cluster. Credentials stay in memory. */
export interface StackOutputs {
  talos: TalosCredentials;
  kubeconfig: string;
  storageClasses: string[];
}

const outputsSchema = z.object({
  talosconfig: z.string(),
  kubeconfig: z.string(),
  storageClasses: z.array(z.string()).default([]),
});

const texts = z.array(z.string()).default([]);
const kubernetesUpgradeType = "talos-node:index:KubernetesUpgrade";
const kubernetesSchema = z.object({
  kubernetesVersion: z.string(),
  nodes: z.record(z.string(), z.object({ pinned: z.array(z.enum(kubernetesComponents)).default([]) })),
});
const nodeUpgradeType = "talos-node:index:NodeUpgrade";
const stateSchema = z.object({
  deployment: z
    .object({
      resources: z
        .array(
          z.object({
            type: z.string(),
            delete: z.boolean().nullish(),
            inputs: z.record(z.string(), z.unknown()).optional(),
            outputs: z.record(z.string(), z.unknown()).optional(),
          }),
        )
        .nullish(),
    })
    .nullish(),
});
const nodeSchema = z.object({
  name: z.string(),
  node: z.string(),
  role: z.enum(["controlplane", "worker"]),
  endpoints: z.record(z.string(), z.array(z.string())).optional(),
  talosVersion: z.string(),
  schematicId: z.string(),
  extensions: texts,
  services: texts,
  files: texts,
});

/** Undefined for a stack that has never been deployed. */
export async function readOutputs(pulumi: Pulumi): Promise<StackOutputs | undefined> {
  const finished = await pulumi("stack", "output", "--json", "--show-secrets");
  if (finished.code !== 0)
    throw new AcceptError(`the stack's outputs could not be read: ${summarizeFailure(finished)}`);
  const outputs: unknown = JSON.parse(finished.stdout);
  if (Object.keys(outputs as object).length === 0) return undefined;
  const parsed = outputsSchema.safeParse(outputs);
  if (!parsed.success) {
    const missing = parsed.error.issues.map(({ path }) => path.join(".")).join(", ");
    throw new AcceptError(`the stack's outputs are not those of talos-iscsi: ${missing}`);
  }
  const { talosconfig, ...others } = parsed.data;
  return { talos: parseTalosconfig(talosconfig), ...others };
}

interface StateResource {
  type: string;
  inputs?: Record<string, unknown> | undefined;
  outputs?: Record<string, unknown> | undefined;
}

/** Every resource of the state, without those that were replaced and wait for their deletion; secrets in the inputs are encrypted. */
export async function readResources(pulumi: Pulumi): Promise<StateResource[]> {
  const finished = await pulumi("stack", "export");
  if (finished.code !== 0)
    throw new AcceptError(`the stack's state could not be exported: ${summarizeFailure(finished)}`);
  const { deployment } = stateSchema.parse(JSON.parse(finished.stdout));
  return (deployment?.resources ?? []).filter((one) => one.delete !== true);
}

/** The nodes as the state has them; the outputs tell what was found, not what was wanted. */
export async function readNodes(pulumi: Pulumi): Promise<WantedNode[]> {
  const resources = await readResources(pulumi);
  const kubernetes = wantedKubernetes(resources.find(({ type }) => type === kubernetesUpgradeType));
  return resources
    .filter(({ type }) => type === nodeUpgradeType)
    .map(({ inputs }) => nodeSchema.parse(inputs))
    .map(({ node, ...rest }) => ({
      ...{ ...rest, address: node },
      ...(kubernetes === undefined ? {} : { kubernetes }),
    }));
}

/** A cluster that was adopted with another release is left as it is until the setting changes. */
function wantedKubernetes(resource: StateResource | undefined): WantedKubernetes | undefined {
  if (resource === undefined || resource.outputs?.["adopted"] !== undefined) return undefined;
  const { kubernetesVersion, nodes } = kubernetesSchema.parse(resource.inputs);
  return {
    version: kubernetesVersion,
    pinned: Object.fromEntries(Object.entries(nodes).map(([name, { pinned }]) => [name, pinned])),
  };
}
