import { createHash } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import semver from "semver";
import { ApiPort } from "./api/apiPort.ts";
import { bringUp, refreshServices } from "./services/bringUp.ts";
import { isPowerLoss, type Boot } from "./machine/boot.ts";
import { callPauseMs } from "../control.ts";
import { loadImage } from "./disk/bootLoader.ts";
import { Changes } from "./machine/changes.ts";
import { registerConfigService } from "./api/configService.ts";
import { DiskStore, blankDisk, type Disk } from "./machine/disk.ts";
import { registerEtcdService } from "./api/etcdService.ts";
import { Faults, type FaultId } from "./machine/faults.ts";
import { registerFileService } from "./api/fileService.ts";
import { Handlers } from "./api/handlers.ts";
import { registerHealthCheck } from "./api/healthCheck.ts";
import { resolveImage, type ImageExtension, type NodeImage } from "./machine/images.ts";
import { KubernetesLink } from "./services/kubernetesLink.ts";
import { registerLifecycleService } from "./api/lifecycleService.ts";
import type { ServedMachine } from "./api/apid.ts";
import { parseMachineConfig, type MachineConfig } from "./machine/machineConfig.ts";
import { registerMachineService } from "./api/machineService.ts";
import type { LabNetwork } from "./network.ts";
import type { ClusterRuntime, NodeIdentity } from "./machine/runtime.ts";
import { shareOfStopping } from "./services/sequence.ts";
import type { AppliedConfig, BootRecord, InstallRecord } from "./machine/records.ts";
import { snapshotOf, type NodeSnapshot } from "./snapshot.ts";
import { registerStateService } from "./api/stateService.ts";
import { defaultTimings, type Timings } from "./machine/timings.ts";
import type { Wire } from "./api/wire.ts";

export interface SimulatedNodeOptions {
  /** Hostname until a configuration sets one, and the name in the lab's messages. */
  name: string;
  /** Loopback address; the API listens on port 50000. */
  address: string;
  network: LabNetwork;
  runtime: ClusterRuntime;
  /**
   * Port of its API from outside: another port, as behind port forwarding, or `closed`, as in a network that only the control planes are in. A closed
   * API answers on port 50000 until it has a configuration, as in the network that machines are installed from. Default: port 50000.
   */
  api?: number | "closed";
  /** Installer reference of the boot medium, which it boots from while nothing is installed. */
  image: string;
  /** Stores the disk, so that the node can come back in another process. Default: in memory only. */
  stateDirectory?: string;
  /** Default: 3 s in total for an upgrade. */
  timings?: Partial<Timings>;
  /** Default: "sd-boot", as on machines with UEFI. */
  bootloader?: Disk["bootloader"];
  /** Receives what the node's console would show. */
  log?: (line: string) => void;
}

const off = AbortSignal.abort();

/** A machine that runs Talos, as far as its API shows. */
export class SimulatedNode implements ServedMachine {
  readonly name: string;
  readonly address: string;
  readonly network: LabNetwork;
  readonly timings: Timings;
  readonly faults: Faults;
  readonly handlers = new Handlers();
  readonly changes = new Changes();
  readonly kubernetes: KubernetesLink;
  readonly api: ApiPort = new ApiPort(this);
  /** Every installer run, with its outcome. */
  readonly installs: InstallRecord[] = [];
  readonly boots: BootRecord[] = [];
  readonly appliedConfigs: AppliedConfig[] = [];
  /** Kubernetes component images that were pulled in advance. */
  readonly componentImages = new Set<string>();
  /** API calls that it has answered itself, whatever the answer. */
  calls = 0;
  /** From the first call after a pause to the last answer. */
  readonly answering = { fromMs: 0, toMs: 0 };
  /** How often an upgrade has wiped the data (Talos before 1.8, without `preserve`). */
  dataWipes = 0;
  disk: Disk;
  boot: Boot | undefined;
  /** Set between this node's bootstrap and its report to Kubernetes. */
  bootstrapPending = false;
  readonly #options: SimulatedNodeOptions;
  readonly #store: DiskStore;
  readonly #life = new AbortController();
  #medium: NodeImage | undefined;
  #known: MachineConfig | undefined;
  #next: "reboot" | "off" = "off";
  #running: Promise<void> | undefined;
  #configured: ((config: MachineConfig) => void) | undefined;
  #settled: (() => void) | undefined;

  constructor(options: SimulatedNodeOptions) {
    this.#options = options;
    this.name = options.name;
    this.address = options.address;
    this.network = options.network;
    this.timings = { ...defaultTimings, ...options.timings };
    this.faults = new Faults((id, isSet) => this.#faultChanged(id, isSet));
    this.kubernetes = new KubernetesLink(this, options.runtime, this.#life.signal);
    this.#store = new DiskStore(options.stateDirectory);
    this.disk = this.#store.load() ?? blankDisk(options.bootloader ?? "sd-boot");
    for (const register of [
      registerMachineService,
      registerConfigService,
      registerLifecycleService,
      registerEtcdService,
      registerFileService,
      registerStateService,
      registerHealthCheck,
    ]) {
      register(this);
    }
  }

  /** Switches the node on. Resolves once its API answers, or while it waits for a control plane to sign its certificate. */
  async start(): Promise<void> {
    this.#medium ??= await resolveImage(this.#options.image, {}, AbortSignal.timeout(30_000));
    this.network.add(this);
    await this.powerOn();
  }

  /** Stops the node for good: the disk stays in its directory. Kubernetes isn't notified. */
  async stop(): Promise<void> {
    this.#life.abort();
    this.powerCut("off");
    await this.#running;
    this.network.remove(this);
  }

  async powerOn(): Promise<void> {
    if (this.#running !== undefined) return;
    const settled = new Promise<void>((resolve) => (this.#settled = resolve));
    this.#running = this.#run().finally(() => {
      this.#running = undefined;
      this.settled();
    });
    await settled;
  }

  /** Cuts the power right away: nothing shuts down properly. */
  powerCut(next: "reboot" | "off"): void {
    this.#next = next;
    this.boot?.cutPower();
    this.changes.notify();
  }

  async #run(): Promise<void> {
    do {
      await this.#whileDown();
      if (this.#life.signal.aborted) return;
      const boot = loadImage(this, this.#medium);
      this.#next = "off";
      this.boot = boot;
      try {
        await bringUp(this, boot);
        await new Promise<void>((resolve) => {
          if (boot.power.aborted) resolve();
          boot.power.addEventListener("abort", () => resolve(), { once: true });
        });
      } catch (error) {
        if (!isPowerLoss(error) && !boot.power.aborted) {
          this.log(`boot failed: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
          this.#next = "reboot";
          boot.cutPower();
        }
      }
      this.boot = undefined;
      await this.api.close();
      this.kubernetes.kubeletDown(boot);
      this.changes.notify();
      if (this.#next === "reboot") await this.#pause(this.timings.rebootSeconds * (1 - shareOfStopping));
    } while (this.#next === "reboot" && !this.#life.signal.aborted);
  }

  async #pause(seconds: number): Promise<void> {
    await delay(seconds * 1000, undefined, { signal: this.#life.signal }).catch(() => {});
  }

  async #whileDown(): Promise<void> {
    while (this.faults.has("never-returns") || this.faults.has("node-down")) {
      if (this.#life.signal.aborted || (this.boots.length === 0 && !this.faults.has("node-down"))) return;
      this.settled();
      await this.changes.next(1, this.#life.signal).catch(() => {});
    }
  }

  /** Port of its API from outside. `closed` applies only once it has a configuration. */
  get outside(): number | "closed" {
    return this.#options.api ?? 50000;
  }

  get wire(): Wire {
    return this.api.wire;
  }

  get power(): AbortSignal {
    return this.boot?.power ?? off;
  }

  /** The active machine configuration. */
  get config(): MachineConfig | undefined {
    return this.boot?.config;
  }

  get clusterId(): string | undefined {
    return (this.config ?? this.#known)?.clusterId;
  }

  get hostname(): string {
    return (this.config ?? this.#known)?.hostname ?? this.name;
  }

  get version(): string {
    const installed = this.disk.active === undefined ? undefined : this.disk.slots[this.disk.active];
    return (this.boot?.image ?? installed ?? this.#medium)?.version ?? "";
  }

  minor(): number {
    return semver.minor(this.version);
  }

  identity(): NodeIdentity {
    return {
      name: this.hostname,
      address: this.address,
      role: (this.config ?? this.#known)?.role ?? "worker",
      talosVersion: this.version,
    };
  }

  extensions(): ImageExtension[] {
    return this.faults.has("extension-missing") ? [] : (this.boot?.image.extensions ?? []);
  }

  lacks(path: string): boolean {
    if (path.includes("/EtcdDowngrade")) return this.minor() < 11;
    const since13 = /^\/machine\.(LifecycleService|ImageService)\//.test(path);
    return since13 && (this.minor() < 13 || this.faults.has("lifecycle-unimplemented"));
  }

  called(): void {
    this.calls += 1;
    if (performance.now() - this.answering.toMs > callPauseMs) this.answering.fromMs = performance.now();
  }

  answered(): void {
    this.answering.toMs = performance.now();
  }

  isLocal(target: string): boolean {
    return target === this.address || target === this.hostname;
  }

  insideOf(target: string): string | undefined {
    const other = this.network.node(target);
    return other === undefined || other.outside === 50000 ? undefined : (other.api.inside ?? `${target}:1`);
  }

  configOnDisk(): MachineConfig | undefined {
    const { config } = this.disk;
    return config === undefined ? undefined : parseMachineConfig(config, this.version, true);
  }

  remember(config: MachineConfig): void {
    this.#known = config;
  }

  saveDisk(): void {
    this.#store.save(this.disk);
  }

  /** Wipes the disk; the next boot is from the medium. */
  wipeDisk(): void {
    this.disk = blankDisk(this.disk.bootloader);
    this.#known = undefined;
    this.saveDisk();
  }

  log(line: string): void {
    this.#options.log?.(line.trimEnd());
  }

  settled(): void {
    this.#settled?.();
    this.#settled = undefined;
  }

  /** Waits for the next configuration applied in maintenance mode. */
  async nextConfig(power: AbortSignal): Promise<MachineConfig> {
    return await new Promise<MachineConfig>((resolve, reject) => {
      this.#configured = resolve;
      power.addEventListener("abort", () => reject(new DOMException("power loss", "AbortError")), {
        once: true,
      });
    });
  }

  configArrived(config: MachineConfig): void {
    this.#configured?.(config);
    this.#configured = undefined;
  }

  #faultChanged(id: FaultId, isSet: boolean): void {
    if (id === "half-open") this.wire.setSilent(isSet);
    if (id === "node-down" && isSet) this.powerCut("reboot");
    if ((id === "certificates-refused" || id === "clock-skewed") && this.config !== undefined) {
      // Existing connections were established with the credentials from before.
      void this.api.serveConfigured().then(() => (isSet ? this.wire.cut() : undefined));
    }
    if (this.boot !== undefined) refreshServices(this, this.boot);
    this.changes.notify();
  }

  /** Text of the active machine configuration. It contains the cluster's secrets. */
  activeConfiguration(): string | undefined {
    return this.config?.text;
  }

  noteApplied(mode: string, text: string): void {
    this.appliedConfigs.push({
      at: new Date().toISOString(),
      mode,
      sha256: createHash("sha256").update(text).digest("hex"),
    });
  }

  /** State for tests and status tables, without any secret. */
  snapshot(): NodeSnapshot {
    return snapshotOf(this);
  }
}
