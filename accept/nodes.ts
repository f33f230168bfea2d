import { connectTalos } from "../talos/api/client.ts";
import type { TalosCredentials } from "../talos/api/credentials.ts";
import { TalosError } from "../talos/api/errors.ts";
import type { TalosReader } from "../talos/api/talosClient.ts";
import { canonicalExtension } from "../talos/extensions.ts";
import { reach, type Endpoints } from "../talos/endpoint.ts";
import { kubernetesProblems } from "./kubernetes.ts";
import type { WantedNode } from "./stackState.ts";

/** A node as it was found, or why it could not be read. */
export interface FoundNode {
  name: string;
  address: string;
  version?: string;
  schematicId?: string;
  /** Another value after each boot. */
  bootId?: string;
  /** What differs from what the stack wants; empty where the node is as it should be. */
  problems: string[];
}

/** What is asked of a node: nothing that changes it. */
type NodeReading = Pick<
  TalosReader,
  | "version"
  | "extensions"
  | "services"
  | "machineStatus"
  | "bootId"
  | "hasFile"
  | "staticPod"
  | "machineConfiguration"
  | "close"
>;

/** @param connect for tests */
export async function readNodesNow(
  wanted: readonly WantedNode[],
  credentials: TalosCredentials,
  connect: (address: string, endpoints?: Endpoints) => NodeReading = (address, endpoints) => {
    const [endpoint = address, ...others] = reach(address, endpoints);
    return connectTalos({ endpoint, others, node: address, credentials });
  },
): Promise<FoundNode[]> {
  return Promise.all(
    wanted.map(async (node) => {
      const talos = connect(node.address, node.endpoints);
      try {
        return await readNode(talos, node);
      } catch (error) {
        if (!(error instanceof TalosError)) throw error;
        return { name: node.name, address: node.address, problems: [`could not be read: ${error.detail}`] };
      } finally {
        talos.close();
      }
    }),
  );
}

async function readNode(talos: NodeReading, wanted: WantedNode): Promise<FoundNode> {
  const call = { deadlineMs: 15_000 };
  const { kubernetes } = wanted;
  const [version, { installed, schematicId }, services, machine, bootId, files, others] = await Promise.all([
    talos.version(call),
    talos.extensions(call),
    talos.services(call),
    talos.machineStatus(call),
    talos.bootId(call),
    Promise.all(wanted.files.map((path) => talos.hasFile(path, call))),
    kubernetes === undefined ? [] : kubernetesProblems(talos, wanted, kubernetes, call),
  ]);
  const extensions = new Set(installed.map(({ name }) => canonicalExtension(name)));
  const problems = [
    ...(version.tag === wanted.talosVersion ? [] : [`runs ${version.tag}, not ${wanted.talosVersion}`]),
    // Before Talos 1.7 a node does not tell its schematic; its extensions are compared all the same.
    ...(schematicId === undefined || schematicId === wanted.schematicId
      ? []
      : [`runs schematic ${schematicId}, not ${wanted.schematicId}`]),
    ...wanted.extensions
      .filter((name) => !extensions.has(canonicalExtension(name)))
      .map((name) => `lacks the extension ${name}`),
    ...wanted.services.flatMap((id) => {
      const service = services.find((candidate) => candidate.id === id);
      if (service?.state === "Running" && service.health !== "unhealthy") return [];
      return [
        `service ${id} is ${service === undefined ? "not there" : `${service.state}, ${service.health}`}`,
      ];
    }),
    ...wanted.files.filter((_, index) => files[index] !== true).map((path) => `lacks the file ${path}`),
    ...others,
    // On its way down a machine says that it is ready.
    ...(machine.stage === "running" && machine.ready
      ? []
      : [
          `is ${machine.stage}${machine.ready ? "" : ", not ready"}${machine.unmet.map(({ name, reason }) => `; ${name}: ${reason}`).join("")}`,
        ]),
  ];
  return {
    name: wanted.name,
    address: wanted.address,
    version: version.tag,
    ...(schematicId === undefined ? {} : { schematicId }),
    ...(bootId === undefined ? {} : { bootId }),
    problems,
  };
}

/** Nodes that have booted between two readings, and nodes of which that cannot be told. */
export function bootsBetween(before: readonly FoundNode[], after: readonly FoundNode[]): string[] {
  return after.flatMap(({ name, bootId }) => {
    const earlier = before.find((node) => node.name === name)?.bootId;
    if (earlier === undefined || bootId === undefined) return [`${name}: its boot ID could not be read`];
    return earlier === bootId ? [] : [`${name} was rebooted`];
  });
}
