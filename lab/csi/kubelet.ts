import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { Container } from "./container.ts";
import type { Mount } from "./container.ts";
import { filesOf, findManifest } from "./manifests.ts";
import type { ContainerSpec, Manifest, PodSpec, Volume, VolumeMount, Workload } from "./manifests.ts";

/** How containers reach the Kubernetes API; `token` returns an account's token. */
export interface ApiAccess {
  host: string;
  port: number;
  /** The API's certificate authority, as PEM. */
  authority: string;
  token: (account: { namespace: string; name: string }) => string;
}

/** The programs of an image. */
export interface Image {
  /** Path in the container, such as /synology-csi-driver, and the binary to put there. */
  entryPoint: string;
  binary: string;
  /** Additional programs, as text, by path. */
  programs?: Readonly<Record<string, string>>;
}

export interface PodOptions {
  /** The image of each container to start; other containers are skipped. */
  images: Readonly<Record<string, Image>>;
  /** All objects that the pod may reference: Secrets, ConfigMaps, its ServiceAccount. */
  manifests: readonly Manifest[];
  api: ApiAccess;
  log: (line: string) => void;
}

const tokenFolder = "/var/run/secrets/kubernetes.io/serviceaccount";

/**
 * A node, and what its kubelet and container runtime do with pods: volumes, environment, arguments, token, capabilities, a read-only root, mount
 * propagation. Uses Linux namespaces instead of a virtual machine; requires root.
 */
export class KubeletNode {
  readonly name: string;
  readonly #folder: string;
  readonly #keeper: ChildProcess;
  readonly #containers: Container[] = [];

  private constructor(name: string, folder: string, keeper: ChildProcess) {
    this.name = name;
    this.#folder = folder;
    this.#keeper = keeper;
  }

  /** @param driver The program in tools/csi/driver, which also serves as the node's iscsiadm. */
  static async create(name: string, arrayFolder: string, driver: string): Promise<KubeletNode> {
    const folder = mkdtempSync(join(tmpdir(), "csi-node-"));
    mkdirSync(join(folder, "root"));
    const script = join(import.meta.dirname, "node.sh");
    const keeper = spawn("unshare", ["--mount", "sh", script, join(folder, "root"), arrayFolder, driver], {
      stdio: ["pipe", "pipe", "pipe"],
    });
    const node = new KubeletNode(name, folder, keeper);
    try {
      await waitUntilStarted(keeper);
    } catch (error) {
      node.#clean();
      throw error;
    }
    node.install("/lab/kubelet", driver);
    return node;
  }

  /** Path through which this process reaches a path of the node. */
  path(onNode: string): string {
    return join(`/proc/${this.#keeper.pid}/root`, this.#folder, "root", onNode);
  }

  /** Installs a program on the node. */
  install(onNode: string, binary: string): void {
    mkdirSync(dirname(this.path(onNode)), { recursive: true });
    copyFileSync(binary, this.path(onNode));
    chmodSync(this.path(onNode), 0o755);
  }

  /** Runs a program on the node until it exits, outside of any container. */
  async run(
    args: readonly string[],
    onLine?: (line: string) => void,
  ): Promise<{ code: number; output: string }> {
    const root = join(this.#folder, "root");
    const child = spawn("nsenter", [`--mount=/proc/${this.#keeper.pid}/ns/mnt`, "chroot", root, ...args], {
      stdio: ["ignore", "pipe", "pipe"],
      env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin" },
    });
    let output = "";
    for (const stream of [child.stdout, child.stderr]) {
      stream.on("data", (chunk: Buffer) => {
        output += chunk.toString("utf8");
        for (const line of chunk.toString("utf8").trimEnd().split("\n")) onLine?.(line);
      });
    }
    const code = await new Promise<number>((resolve, reject) => {
      child.once("error", reject);
      child.once("close", (status) => resolve(status ?? 1));
    });
    return { code, output };
  }

  /** Starts those containers of a workload's pod that have an image, in parallel, as the kubelet does. */
  start(workload: Workload, options: PodOptions): Container[] {
    const pod = workload.spec.template.spec;
    const { name, namespace = "default" } = workload.metadata;
    const volumes = this.#volumes(name, namespace, pod, options);
    const made = pod.containers
      .filter((spec) => options.images[spec.name] !== undefined)
      .map((spec) => this.#container(workload, spec, volumes, options));
    this.#containers.push(...made);
    for (const container of made) container.start();
    return made;
  }

  async stop(): Promise<void> {
    await Promise.all(this.#containers.map((container) => container.stop()));
    // Mounts and sessions end with the namespace; loop devices do not.
    await this.run(["/lab/kubelet", "--part=detach"]);
    this.#clean();
  }

  #clean(): void {
    this.#keeper.stdin?.end();
    this.#keeper.kill();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #container(
    workload: Workload,
    spec: ContainerSpec,
    volumes: ReadonlyMap<string, string>,
    options: PodOptions,
  ): Container {
    const pod = workload.spec.template.spec;
    const { name, namespace = "default" } = workload.metadata;
    const image = options.images[spec.name] as Image;
    const token = volumes.get("kube-api-access");
    const mounts: Mount[] = (spec.volumeMounts ?? []).map((mount) => mountOf(mount, volumes));
    if (token !== undefined)
      mounts.push({ from: token, to: tokenFolder, readOnly: true, propagation: "private" });
    const environment = this.#environment(spec, { podName: `${name}-0`, namespace }, options);
    return new Container({
      name: `${name}/${spec.name}`,
      folder: mkdtempSync(join(this.#folder, "container-")),
      namespaceOf: this.#keeper.pid ?? 0,
      binary: image.binary,
      entryPoint: image.entryPoint,
      programs: image.programs ?? {},
      args: (spec.args ?? []).map((argument) => expandVariables(argument, environment)),
      environment,
      mounts,
      security: spec.securityContext ?? {},
      user: pod.securityContext?.runAsUser ?? 0,
      hostPID: pod.hostPID ?? false,
      log: options.log,
    });
  }

  #environment(
    spec: ContainerSpec,
    pod: { podName: string; namespace: string },
    { manifests, api }: PodOptions,
  ): Record<string, string> {
    const fields: Readonly<Record<string, string>> = {
      "spec.nodeName": this.name,
      "metadata.name": pod.podName,
      "metadata.namespace": pod.namespace,
    };
    const values: Record<string, string> = {
      PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
      HOSTNAME: pod.podName,
      // Every container in a cluster has these, with or without a token.
      KUBERNETES_SERVICE_HOST: api.host,
      KUBERNETES_SERVICE_PORT: String(api.port),
    };
    for (const { name, value, valueFrom } of spec.env ?? []) {
      const secret = valueFrom?.secretKeyRef;
      const field = valueFrom?.fieldRef?.fieldPath;
      if (secret !== undefined) {
        const content = filesOf(findManifest(manifests, "Secret", secret.name))[secret.key];
        if (content === undefined) throw new Error(`Secret ${secret.name} has no key ${secret.key}`);
        values[name] = content;
      } else if (field !== undefined) {
        const content = fields[field];
        if (content === undefined) throw new Error(`the field ${field} is not supported here`);
        values[name] = content;
      } else {
        values[name] = expandVariables(value ?? "", values);
      }
    }
    return values;
  }

  /** The pod's volumes by name: their paths on the node. */
  #volumes(name: string, namespace: string, pod: PodSpec, options: PodOptions): Map<string, string> {
    const paths = new Map<string, string>();
    const place = (kind: string, volume: string) =>
      `/var/lib/kubelet/pods/${name}/volumes/kubernetes.io~${kind}/${volume}`;
    for (const volume of pod.volumes ?? []) {
      paths.set(volume.name, this.#volume(volume, place, options));
    }
    const account = pod.serviceAccountName ?? "default";
    if (this.#mountsToken(pod, account, options.manifests)) {
      const path = place("projected", "kube-api-access");
      const { api } = options;
      this.#write(
        path,
        { token: api.token({ namespace, name: account }), "ca.crt": api.authority, namespace },
        0o644,
      );
      paths.set("kube-api-access", path);
    }
    return paths;
  }

  // The pod's setting overrides the account's; if neither is set, there is a token.
  #mountsToken(pod: PodSpec, account: string, manifests: readonly Manifest[]): boolean {
    const found = manifests.find((one) => one.kind === "ServiceAccount" && one.metadata.name === account);
    if (found === undefined) throw new Error(`no ServiceAccount ${account}`);
    return (
      pod.automountServiceAccountToken ??
      (found["automountServiceAccountToken"] as boolean | undefined) ??
      true
    );
  }

  #volume(
    { name, secret, configMap, hostPath, emptyDir }: Volume,
    place: (kind: string, volume: string) => string,
    { manifests }: PodOptions,
  ): string {
    if (hostPath !== undefined) {
      if (hostPath.type === "DirectoryOrCreate") mkdirSync(this.path(hostPath.path), { recursive: true });
      return hostPath.path;
    }
    if (secret !== undefined) {
      const files = filesOf(findManifest(manifests, "Secret", secret.secretName));
      return this.#write(place("secret", name), files, secret.defaultMode ?? 0o644);
    }
    if (configMap !== undefined) {
      const files = filesOf(findManifest(manifests, "ConfigMap", configMap.name));
      return this.#write(place("configmap", name), files, configMap.defaultMode ?? 0o644);
    }
    if (emptyDir === undefined)
      throw new Error(`the volume ${name} has a type that this kubelet does not support`);
    const path = place("empty-dir", name);
    mkdirSync(this.path(path), { recursive: true });
    return path;
  }

  #write(folder: string, files: Readonly<Record<string, string>>, mode: number): string {
    mkdirSync(this.path(folder), { recursive: true });
    for (const [file, content] of Object.entries(files)) {
      writeFileSync(this.path(join(folder, file)), content);
      chmodSync(this.path(join(folder, file)), mode);
    }
    return folder;
  }
}

const propagations: Readonly<Record<string, Mount["propagation"]>> = {
  Bidirectional: "shared",
  HostToContainer: "slave",
};

function mountOf(mount: VolumeMount, volumes: ReadonlyMap<string, string>): Mount {
  const from = volumes.get(mount.name);
  if (from === undefined) throw new Error(`${mount.mountPath} mounts ${mount.name}, which is not a volume`);
  return {
    from: mount.subPath === undefined ? from : join(from, mount.subPath),
    to: mount.mountPath,
    readOnly: mount.readOnly ?? false,
    propagation: propagations[mount.mountPropagation ?? ""] ?? "private",
  };
}

/** Expands $(NAME) from the environment and leaves everything else as is (Kubernetes' third_party/forked/golang/expansion). */
function expandVariables(text: string, environment: Readonly<Record<string, string>>): string {
  return text.replace(/\$\(([A-Za-z_][A-Za-z0-9_]*)\)/g, (whole, name: string) => environment[name] ?? whole);
}

function waitUntilStarted(keeper: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    let complaints = "";
    keeper.stderr?.on("data", (chunk: Buffer) => (complaints += chunk.toString("utf8")));
    keeper.stdout?.once("data", () => resolve());
    keeper.once("error", reject);
    keeper.once("close", () =>
      reject(new Error(`a node could not be created, which requires root: ${complaints.trim()}`)),
    );
  });
}
