import { createInterface } from "node:readline";
import { drivers } from "./drivers.ts";
import type { DriverName } from "./drivers.ts";
import { KubeletNode } from "./kubelet.ts";
import type { Image } from "./kubelet.ts";
import type { Manifest, Workload } from "./manifests.ts";

/**
 * Runs pods on their own node until standard input closes: a separate process, because it requires root and the rest of a test doesn't. The pods' output
 * goes to standard output.
 */
export interface PodsRequest {
  driver: DriverName;
  /** Folder of the stand-in array's disks. */
  arrayFolder: string;
  /** The program in tools/csi/driver. */
  binary: string;
  workloads: Workload[];
  /** Secrets and ServiceAccounts of those pods. */
  manifests: Manifest[];
  /** Binaries of the sidecars, by container name. */
  sidecars: Record<string, string>;
  api: { host: string; port: number; authority: string; tokens: Record<string, string> };
}

async function main(): Promise<void> {
  const lines = createInterface({ input: process.stdin });
  const { value } = (await lines[Symbol.asyncIterator]().next()) as { value: string };
  const request = JSON.parse(value) as PodsRequest;
  const ended = new Promise<void>((resolve) => lines.once("close", () => resolve()));
  const { host, port, authority, tokens } = request.api;
  const node = await KubeletNode.create("w1", request.arrayFolder, request.binary);
  try {
    for (const workload of request.workloads) {
      node.start(workload, {
        images: imagesOf(request),
        manifests: request.manifests,
        api: { host, port, authority, token: ({ namespace, name }) => tokens[`${namespace}/${name}`] ?? "" },
        log: (line) => void process.stdout.write(`${line}\n`),
      });
    }
    await ended;
  } finally {
    await node.stop();
  }
}

function imagesOf({ driver, binary, sidecars }: PodsRequest): Record<string, Image> {
  const { controller, entryPoint, programs } = drivers[driver];
  return {
    [controller.container]: { entryPoint, programs, binary },
    ...Object.fromEntries(
      Object.entries(sidecars).map(([name, file]) => [name, { entryPoint: `/${name}`, binary: file }]),
    ),
  };
}

await main();
