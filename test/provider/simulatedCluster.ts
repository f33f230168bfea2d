import { webcrypto } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import semver from "semver";
import { stringify } from "yaml";
import { FactoryServer } from "../../lab/factory/server.ts";
import { newMemberId } from "../../lab/node/services/etcd.ts";
import { resolveImage } from "../../lab/node/machine/images.ts";
import { LabNetwork } from "../../lab/node/network.ts";
import { SimulatedNode } from "../../lab/node/node.ts";
import type { Timings } from "../../lab/node/machine/timings.ts";
import type { ClusterRuntime } from "../../lab/node/machine/runtime.ts";
import { createAuthority, issueLeaf } from "../../lab/pki.ts";
import type { TalosCredentials } from "../../talos/api/credentials.ts";
import { schematicId } from "../../talos/schematic.ts";

const iscsiSchematic = {
  customization: { systemExtensions: { officialExtensions: ["siderolabs/iscsi-tools"] } },
};
export const iscsiSchematicId = schematicId(iscsiSchematic);

const base64 = (text: string): string => Buffer.from(text).toString("base64");

/** A Kubernetes that is always healthy, as far as a node can see. */
const healthy: ClusterRuntime = {
  configActive: async () => undefined,
  bootstrapped: async () => undefined,
  kubeletUp: async () => undefined,
  staticPods: async () => undefined,
  kubeletDown: async () => undefined,
  health: async () => ({ apiServer: true, nodeReady: true }),
  removed: async () => undefined,
};

const fastTimings: Timings = {
  pullSeconds: 0.1,
  installSeconds: 0.2,
  rebootSeconds: 0.2,
  bootSeconds: 0.2,
};

/** Running simulated Talos nodes, with a factory to pull from. */
export class SimulatedCluster {
  readonly nodes: SimulatedNode[];
  readonly factory: FactoryServer;
  /** As in a talosconfig, with role os:admin. */
  readonly credentials: TalosCredentials;

  private constructor(nodes: SimulatedNode[], factory: FactoryServer, credentials: TalosCredentials) {
    this.nodes = nodes;
    this.factory = factory;
    this.credentials = credentials;
  }

  /** @param subnet the first three numbers of the loopback addresses, such as `127.44.1` */
  static async start(options: {
    subnet: string;
    controlPlanes?: number;
    workers?: number;
    version?: string;
    timings?: Partial<Timings>;
    runtime?: Partial<ClusterRuntime>;
    /** The Kubernetes release in the configurations. Default: none. */
    kubernetesVersion?: string;
    /** A node's address by its number: 11 for the first control plane, 21 for the first worker. Default: in the subnet. */
    address?: (last: number) => string;
    /** More names and addresses for the certificates of all nodes. */
    certSANs?: string[];
    /** Nodes whose API is on another port, or closed, from outside. */
    api?: Record<string, number | "closed">;
    /** Nodes with `machine.install.extraKernelArgs`. Those that boot with GRUB also run with them. */
    kernelArgs?: Record<string, { bootloader: "grub" | "sd-boot"; extraKernelArgs: string[] }>;
  }): Promise<SimulatedCluster> {
    const {
      subnet,
      controlPlanes = 1,
      workers = 0,
      version = "v1.12.7",
      kernelArgs = {},
      api = {},
      certSANs,
      kubernetesVersion,
      address = (last: number) => `${subnet}.${last}`,
    } = options;
    const factory = new FactoryServer({ host: `${subnet}.2` });
    await factory.start();
    await fetch(`${factory.url}/schematics`, { method: "POST", body: stringify(iscsiSchematic) });

    const talosCa = await createAuthority("talos", "ed25519");
    const caKey = await issueKeyOf(talosCa);
    const kubernetesCa = await createAuthority("kubernetes");
    const kubernetesKey = await issueKeyOf(kubernetesCa);
    const client = await issueLeaf(talosCa, {
      commonName: "admin",
      organizations: ["os:admin"],
      usages: ["client"],
      keyKind: "ed25519",
    });
    const config = (name: string, type: "controlplane" | "worker"): string =>
      stringify({
        version: "v1alpha1",
        machine: {
          type,
          ...section(kubernetesVersion, "kubelet", "ghcr.io/siderolabs/kubelet"),
          ca: { crt: base64(talosCa.pem), ...(type === "controlplane" ? { key: base64(caKey) } : {}) },
          network: { hostname: name },
          ...(certSANs && { certSANs }),
          install: {
            disk: "/dev/sda",
            image: `ghcr.io/siderolabs/installer:${version}`,
            ...(kernelArgs[name] && { extraKernelArgs: kernelArgs[name].extraKernelArgs }),
          },
        },
        cluster: {
          id: `cluster-${subnet}`,
          clusterName: "test",
          ...(type === "worker"
            ? {}
            : {
                ...section(kubernetesVersion, "apiServer", "registry.k8s.io/kube-apiserver"),
                ...section(kubernetesVersion, "controllerManager", "registry.k8s.io/kube-controller-manager"),
                ...section(kubernetesVersion, "scheduler", "registry.k8s.io/kube-scheduler"),
                ...section(kubernetesVersion, "proxy", "registry.k8s.io/kube-proxy"),
              }),
          controlPlane: { endpoint: `https://${subnet}.10:6443` },
          ca: {
            crt: base64(kubernetesCa.pem),
            ...(type === "controlplane" ? { key: base64(kubernetesKey) } : {}),
          },
        },
      });
    // From 1.14 on, only the factory has installers.
    const reference = semver.gte(version, "1.14.0-0")
      ? imageOf(factory, version)
      : `ghcr.io/siderolabs/installer:${version}`;
    const image = await resolveImage(reference, {}, AbortSignal.timeout(5_000));
    const network = new LabNetwork();
    const make = (name: string, at: string, type: "controlplane" | "worker"): SimulatedNode => {
      const { bootloader = "sd-boot", extraKernelArgs = [] } = kernelArgs[name] ?? {};
      const node = new SimulatedNode({
        name,
        bootloader,
        ...(api[name] === undefined ? {} : { api: api[name] }),
        address: at,
        network,
        runtime: { ...healthy, ...options.runtime },
        image: image.reference,
        timings: { ...fastTimings, ...options.timings },
      });
      node.disk.slots.A = { ...image, bootArgs: bootloader === "grub" ? extraKernelArgs : [] };
      node.disk.active = "A";
      node.disk.config = config(name, type);
      if (type === "controlplane") node.disk.etcd = { memberId: newMemberId() };
      return node;
    };
    const nodes = [
      ...Array.from({ length: controlPlanes }, (_, i) => make(`cp${i + 1}`, address(11 + i), "controlplane")),
      ...Array.from({ length: workers }, (_, i) => make(`w${i + 1}`, address(21 + i), "worker")),
    ];
    await Promise.all(nodes.map((node) => node.start()));
    const cluster = new SimulatedCluster(nodes, factory, {
      caCertificate: base64(talosCa.pem),
      clientCertificate: base64(client.certificate),
      clientKey: base64(client.key),
    });
    await cluster.ready();
    return cluster;
  }

  node(name: string): SimulatedNode {
    const found = this.nodes.find((node) => node.name === name);
    if (found === undefined) throw new Error(`no node ${name}`);
    return found;
  }

  /** Changes exactly when something is done to a node. */
  touched(): { version: string; boots: number; installs: number; applied: number }[] {
    return this.nodes.map((node) => {
      const { version, boots, installs, appliedConfigs } = node.snapshot();
      return { version, boots: boots.length, installs: installs.length, applied: appliedConfigs.length };
    });
  }

  /** The installer image of a release with iscsi-tools, at this cluster's factory. */
  image(version: string): string {
    return imageOf(this.factory, version);
  }

  async ready(): Promise<void> {
    await Promise.all(
      this.nodes.map(async (node) => {
        const limit = Date.now() + 20_000;
        while (!(node.snapshot().stage === "running" && node.snapshot().ready)) {
          if (Date.now() > limit)
            throw new Error(`${node.name} did not get ready: ${JSON.stringify(node.snapshot().unmet)}`);
          await delay(20);
        }
      }),
    );
  }

  async stop(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.stop()));
    await this.factory.stop();
  }
}

/** A machine in maintenance mode, not started yet. */
export function waitingMachine(
  cluster: SimulatedCluster,
  name: string,
  address: string,
  api?: number | "closed",
): SimulatedNode {
  return new SimulatedNode({
    name,
    address,
    ...(api === undefined ? {} : { api }),
    network: cluster.node("cp1").network,
    runtime: healthy,
    image: "ghcr.io/siderolabs/installer:v1.12.7",
    timings: { ...fastTimings, installSeconds: 0.1, rebootSeconds: 0.1, bootSeconds: 0.1 },
  });
}

function section(release: string | undefined, name: string, repository: string): object {
  return release === undefined ? {} : { [name]: { image: `${repository}:${release}` } };
}

function imageOf(factory: FactoryServer, version: string): string {
  return `${factory.url.replace("http://", "")}/metal-installer/${iscsiSchematicId}:${version}`;
}

async function issueKeyOf(authority: { key: webcrypto.CryptoKey }): Promise<string> {
  const der = Buffer.from(await webcrypto.subtle.exportKey("pkcs8", authority.key));
  const lines = der.toString("base64").replace(/(.{64})/g, "$1\n");
  return `-----BEGIN PRIVATE KEY-----\n${lines.trimEnd()}\n-----END PRIVATE KEY-----\n`;
}
