import { isRecord } from "../values.ts";
import type { ServiceDefinition } from "@grpc/proto-loader";
import { getResource, getSpecText, listLists, listResources } from "./cosi.ts";
import { diagnoseTls, acceptsAnyClient, endpointTlsMessage } from "./diagnose.ts";
import { isTransient, isUnimplemented, TalosError } from "./errors.ts";
import { readHardware, readInstalledRelease } from "./machine.ts";
import { parseInstallHistory, type InstallHistory } from "./installLog.ts";
import { loadTalosApi, type TalosApi } from "./load.ts";
import { extractConfiguration, toStaticPod } from "./nodeState.ts";
import type { Hardware } from "../hardware/reported.ts";
import type {
  CallOptions,
  EtcdAlarm,
  EtcdMember,
  EtcdStatus,
  InstalledExtension,
  MachineStatus,
  RunningService,
  RunningVersion,
  StaticPod,
  TalosReader,
} from "./talosClient.ts";
import { splitEndpoint, isItself } from "../endpoint.ts";
import { ownEndpoint, Transport, type TalosConnection } from "./transport.ts";
import * as wire from "./wire.ts";

// CRI's containerd, namespace "system": where installer images are stored (siderolabs/talos v1.13 talosctl upgrade).
export const systemImages = { driver: "CRI", namespace: "NS_SYSTEM" };
const minute = 60_000;

/** Connects to a node's API for reading. Nothing is sent before the first call. */
export function connectTalos(connection: TalosConnection): TalosReader {
  return new GrpcTalosReader(connection);
}

export class GrpcTalosReader implements TalosReader {
  protected readonly transport: Transport;
  protected readonly api: TalosApi = loadTalosApi();
  readonly #connection: TalosConnection;

  constructor(connection: TalosConnection) {
    this.#connection = connection;
    this.transport = new Transport(connection);
  }

  get node(): string {
    return this.transport.node;
  }

  async version(call?: CallOptions): Promise<RunningVersion> {
    return wire.toRunningVersion(await this.one("Version", {}, call));
  }

  async bootId(call?: CallOptions): Promise<string | undefined> {
    try {
      return (await this.#read("/proc/sys/kernel/random/boot_id", call)).trim();
    } catch (error) {
      if (error instanceof TalosError && error.kind === "denied") return undefined;
      throw error;
    }
  }

  async machineStatus(call?: CallOptions): Promise<MachineStatus> {
    return wire.toMachineStatus(
      (await getResource(this.transport, "runtime", "MachineStatuses.runtime.talos.dev", "machine", call))
        ?.spec ?? {},
    );
  }

  async services(call?: CallOptions): Promise<RunningService[]> {
    return wire.toServices(await this.one("ServiceList", {}, call));
  }

  async extensions(
    call?: CallOptions,
  ): Promise<{ installed: InstalledExtension[]; schematicId: string | undefined }> {
    const [extensions, factory] = await Promise.all([
      listResources(this.transport, "runtime", "ExtensionStatuses.runtime.talos.dev", call),
      // Since Talos 1.14; older releases only list the schematic as an extension.
      getResource(
        this.transport,
        "runtime",
        "ImageFactorySchematics.runtime.talos.dev",
        "image-factory-schematic",
        call,
      ),
    ]);
    return wire.toExtensions(
      extensions.map((resource) => resource.spec),
      factory?.spec,
    );
  }

  async kubernetesNode(call?: CallOptions): Promise<string | undefined> {
    const [name] = await listResources(this.transport, "k8s", "Nodenames.kubernetes.talos.dev", call);
    const value = name?.spec["nodename"];
    return typeof value === "string" && value !== "" ? value : undefined;
  }

  async hasFile(path: string, call?: CallOptions): Promise<boolean> {
    try {
      for await (const entry of this.transport.stream(this.api.machine, "List", { root: path }, call)) {
        if (entry["error"] === "") return true;
      }
      return false;
    } catch (error) {
      if (error instanceof TalosError && isNoSuchFile(error)) return false;
      throw error;
    }
  }

  async list(path: string, call?: CallOptions): Promise<string[]> {
    const names: string[] = [];
    try {
      for await (const entry of this.transport.stream(this.api.machine, "List", { root: path }, call)) {
        const name = entry["relativeName"];
        // The folder itself comes first, as "."; an entry with an error disappeared before it could be read.
        if (entry["error"] === "" && typeof name === "string" && name !== ".") names.push(name);
      }
      return names;
    } catch (error) {
      if (error instanceof TalosError && isNoSuchFile(error)) return [];
      throw error;
    }
  }

  async readText(path: string, call?: CallOptions): Promise<string | undefined> {
    try {
      return await this.#read(path, call);
    } catch (error) {
      if (error instanceof TalosError && isNoSuchFile(error)) return undefined;
      throw error;
    }
  }

  async machineConfiguration(call?: CallOptions): Promise<string | undefined> {
    return (await this.#configuration("persistent", call)) ?? this.activeConfiguration(call);
  }

  async activeConfiguration(call?: CallOptions): Promise<string | undefined> {
    return this.#configuration("v1alpha1", call);
  }

  async #configuration(id: string, call?: CallOptions): Promise<string | undefined> {
    const spec = await getSpecText(this.transport, "config", "MachineConfigs.config.talos.dev", id, call);
    return spec === undefined ? undefined : extractConfiguration(spec);
  }

  async hardware(call?: CallOptions): Promise<Hardware> {
    return readHardware(this.transport, call);
  }

  async installedRelease(call?: CallOptions): Promise<string | undefined> {
    return readInstalledRelease(this.transport, async () => (await this.version(call)).tag, call);
  }

  async bootedWithUki(call?: CallOptions): Promise<boolean | undefined> {
    const state = await this.#securityState(call);
    // Omitted if false (siderolabs/talos v1.13.9 runtime/security_status.go).
    return state && state["bootedWithUKI"] === true;
  }

  async secureBoot(call?: CallOptions): Promise<boolean | undefined> {
    const state = await this.#securityState(call);
    return state && state["secureBoot"] === true;
  }

  async #securityState(call?: CallOptions): Promise<Record<string, unknown> | undefined> {
    const state = await getResource(
      this.transport,
      "runtime",
      "SecurityStates.talos.dev",
      "securitystate",
      call,
    );
    return state?.spec;
  }

  async apiServer(call?: CallOptions): Promise<StaticPod | undefined> {
    return this.staticPod("kube-apiserver", call);
  }

  async staticPod(component: string, call?: CallOptions): Promise<StaticPod | undefined> {
    const [pods, statuses] = await Promise.all([
      listResources(this.transport, "k8s", "StaticPods.kubernetes.talos.dev", call),
      listResources(this.transport, "k8s", "StaticPodStatuses.kubernetes.talos.dev", call),
    ]);
    return toStaticPod(component, pods, statuses);
  }

  async bootstrapManifests(call?: CallOptions): Promise<Record<string, unknown>[]> {
    const manifests = await listLists(this.transport, "controlplane", "Manifests.kubernetes.talos.dev", call);
    return manifests.flat().filter(isRecord);
  }

  async etcdMembers(call?: CallOptions): Promise<EtcdMember[]> {
    return wire.toEtcdMembers(await this.one("EtcdMemberList", {}, call));
  }

  async etcdStatus(call?: CallOptions): Promise<EtcdStatus> {
    return wire.toEtcdStatus(await this.one("EtcdStatus", {}, call));
  }

  async etcdAlarms(call?: CallOptions): Promise<EtcdAlarm[]> {
    const response = await this.transport.unary(this.api.machine, "EtcdAlarmList", {}, call);
    return wire.repliesOf(response, this.node, "MachineService.EtcdAlarmList").flatMap(wire.toEtcdAlarms);
  }

  async etcdDowngrading(
    { major, minor }: { major: number; minor: number },
    call?: CallOptions,
  ): Promise<boolean> {
    // etcd first checks the target, which must be 3.5 for data of 3.6, and then whether a downgrade is in progress (etcd v3.7.1
    // server/etcdserver/version/version.go; Talos passes it no target before 3.5).
    if (minor < 6) return false;
    try {
      await this.one("EtcdDowngradeValidate", { version: `${major}.${minor - 1}` }, call);
      return false;
    } catch (error) {
      if (error instanceof TalosError && /downgrade job in progress/.test(error.detail)) return true;
      if (error instanceof TalosError && (isUnimplemented(error) || /invalid downgrade/.test(error.detail)))
        return false;
      throw error;
    }
  }

  async kubeconfig(call?: CallOptions): Promise<string> {
    const pieces: Buffer[] = [];
    for await (const piece of this.transport.stream(this.api.machine, "Kubeconfig", {}, call))
      if (Buffer.isBuffer(piece["bytes"])) pieces.push(piece["bytes"]);
    // The archive reader is loaded on demand.
    return (await import("./kubeconfig.ts")).extractKubeconfig(Buffer.concat(pieces));
  }

  async *etcdSnapshot(call?: CallOptions): AsyncGenerator<Buffer, void, void> {
    for await (const piece of this.transport.stream(
      this.api.machine,
      "EtcdSnapshot",
      {},
      withLongDeadline(call),
    )) {
      if (Buffer.isBuffer(piece["bytes"])) yield piece["bytes"];
    }
  }

  async pull(
    image: string,
    onProgress: (done: number, total: number) => void,
    call?: CallOptions,
  ): Promise<string> {
    const layers = new Map<string, { done: number; total: number }>();
    let name: string | undefined;
    const request = { containerd: systemImages, imageRef: image };
    for await (const message of this.transport.stream(
      this.api.image,
      "Pull",
      request,
      withLongDeadline(call),
    )) {
      if (message["response"] === "name") {
        name = String(message["name"]);
      } else {
        wire.addLayerProgress(message, layers);
        const all = [...layers.values()];
        onProgress(
          all.reduce((sum, layer) => sum + layer.done, 0),
          all.reduce((sum, layer) => sum + layer.total, 0),
        );
      }
    }
    if (name === undefined) {
      throw new TalosError(
        "unreachable",
        this.node,
        "ImageService.Pull",
        "the stream ended before the image was there",
      );
    }
    return name;
  }

  async pullLegacy(image: string, call?: CallOptions, namespace: "system" | "cri" = "system"): Promise<void> {
    const request = { namespace: namespace === "cri" ? "NS_CRI" : "NS_SYSTEM", reference: image };
    await this.one("ImagePull", request, withLongDeadline(call));
  }

  async installHistory(call?: CallOptions): Promise<InstallHistory> {
    const machined = {
      namespace: "system",
      id: "machined",
      driver: "CONTAINERD",
      follow: false,
      tailLines: -1,
    };
    const [kernel, own] = await Promise.all([
      this.#text("Dmesg", { follow: false, tail: false }, call),
      this.#text("Logs", machined, call).catch((error: unknown) => {
        // A release without this log writes the same to the kernel's.
        if (error instanceof TalosError && (error.kind === "failed" || error.kind === "notFound")) return "";
        throw error;
      }),
    ]);
    return parseInstallHistory(kernel, own);
  }

  async upgradeFailure(actorId: string, call?: CallOptions): Promise<string | undefined> {
    // Also requests the events before this call, so that no failure is missed in between.
    const request = { tailEvents: -1, withActorId: actorId };
    try {
      for await (const event of this.transport.stream(
        this.api.machine,
        "Events",
        request,
        withLongDeadline(call),
      )) {
        const failure = wire.sequenceFailure(event, this.api);
        if (failure !== undefined) return failure;
      }
    } catch (error) {
      if (!isTransient(error) && !(error instanceof TalosError && error.kind === "cancelled")) throw error;
    }
    return undefined;
  }

  async inMaintenance(): Promise<boolean> {
    // The node itself, never a forwarding endpoint: that could be the machine without a configuration.
    const { host, port } = splitEndpoint(ownEndpoint(this.#endpoints, this.node));
    return acceptsAnyClient(host, port);
  }

  async diagnose(): Promise<string | undefined> {
    const { credentials } = this.#connection;
    if (credentials === "maintenance") return undefined;
    for (const endpoint of this.#endpoints) {
      const { host, port } = splitEndpoint(endpoint);
      const message = await diagnoseTls(host, port, credentials);
      if (message === undefined) continue;
      return isItself(endpoint, this.node) ? message : endpointTlsMessage(host, message);
    }
    return undefined;
  }

  get #endpoints(): string[] {
    return [this.#connection.endpoint, ...(this.#connection.others ?? [])];
  }

  reconnect(): void {
    this.transport.reconnect();
  }

  close(): void {
    this.transport.close();
  }

  /** A MachineService call answered by one node. */
  protected async one(method: string, request: object, call?: CallOptions): Promise<Record<string, unknown>> {
    const service: ServiceDefinition = this.api.machine;
    const response = await this.transport.unary(service, method, request, call);
    const [first] = wire.repliesOf(response, this.node, `MachineService.${method}`);
    return first ?? {};
  }

  async #read(path: string, call?: CallOptions): Promise<string> {
    return this.#text("Read", { path }, call);
  }

  async #text(method: string, request: object, call?: CallOptions): Promise<string> {
    const chunks: Buffer[] = [];
    for await (const piece of this.transport.stream(this.api.machine, method, request, call)) {
      if (Buffer.isBuffer(piece["bytes"])) chunks.push(piece["bytes"]);
    }
    return Buffer.concat(chunks).toString("utf8");
  }
}

function isNoSuchFile(error: TalosError): boolean {
  return error.kind === "notFound" || /no such file|not exist/i.test(error.detail);
}

/** For calls that download or install. */
export function withLongDeadline(call: CallOptions | undefined): CallOptions {
  return { deadlineMs: 30 * minute, ...call };
}
