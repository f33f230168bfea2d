import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { ClusterRuntime, NodeIdentity, RunningStaticPod } from "../node/machine/runtime.ts";
import {
  authoritiesOf,
  type ControlPlaneSettings,
  controlPlaneSettings,
  nodeSettings,
} from "./configuration.ts";
import { ControlPlane, type KubernetesTools, type ServerOfControlPlane } from "./controlPlane.ts";
import { NodeRegistry } from "./nodes.ts";
import { createNodeState, type NodeState, syncNode } from "./nodeState.ts";
import { reapLeftovers } from "./process.ts";
import { applySystemObjects } from "./systemObjects.ts";

/** How a lab's Kubernetes is set up. */
export interface KubernetesRuntimeOptions {
  /** Folder for secrets, data, logs and PID files; created if missing, readable only by its owner. */
  readonly directory: string;
  readonly tools: KubernetesTools;
  /**
   * Folders with kube-apiserver, kube-controller-manager and kube-scheduler of other releases, by release. If set, every control plane has its own kube-apiserver,
   * and components run the release that their images name. Default: one kube-apiserver for all control planes, of the release in `tools`.
   */
  readonly builds?: Readonly<Record<string, string>>;
  /** Receives a line for each event of the control plane. Default: no log. */
  readonly log?: (line: string) => void;
  /** How long kube-apiserver may take to become ready, in milliseconds. Default: 60 000. */
  readonly startTimeoutMilliseconds?: number;
}

/** How long a node waits for its report to reach the API server before it continues without. */
const patienceMilliseconds = 5000;

/** How often kubelets check the mirror pods of their static pods. A real one checks every 10 seconds (kubernetes pkg/kubelet/status/status_manager.go). */
const mirrorSyncMilliseconds = 2000;

/** The real Kubernetes of a lab: follows the state of the simulated nodes. */
export class KubernetesRuntime implements ClusterRuntime {
  readonly #options: KubernetesRuntimeOptions;
  readonly #log: (line: string) => void;
  readonly #nodes = new Map<string, NodeState>();
  #bootstrapped = false;
  #stopped = false;
  #controlPlane: ControlPlane | undefined;
  #registry: NodeRegistry | undefined;
  /** The kubeconfig that the registry uses. */
  #credentials = "";
  /** Whether the cluster has the objects that Talos itself creates. */
  #furnished = false;
  #inEffect: ControlPlaneSettings | undefined;
  #work: Promise<void> = Promise.resolve();
  #failure: { message: string; fingerprint: string } | undefined;
  #retry: NodeJS.Timeout | undefined;
  #mirrorSync: NodeJS.Timeout | undefined;

  constructor(options: KubernetesRuntimeOptions) {
    this.#options = options;
    this.#log = options.log ?? (() => undefined);
  }

  async configActive(node: NodeIdentity, documents: Record<string, unknown>[]): Promise<void> {
    const state = this.#state(node);
    const before = state.controlPlane;
    try {
      state.node = nodeSettings(documents);
      state.controlPlane = node.role === "controlplane" ? controlPlaneSettings(documents) : undefined;
    } catch (error) {
      // As on a real machine: the configuration is applied, and what it can't start is missing.
      const message = `${node.name}: ${error instanceof Error ? error.message : String(error)}`;
      this.#failure = { message, fingerprint: "" };
      this.#log(`kubernetes: ${message}`);
    }
    const work = this.#reconcileSoon();
    // Here a kubelet is back right away. A real one takes longer than its kube-apiserver, whose certificate `talosctl rotate-ca` expects to be renewed by then.
    const after = state.controlPlane ?? before;
    if (before !== undefined && after !== undefined && authoritiesOf(before) !== authoritiesOf(after))
      await work;
  }

  async bootstrapped(node: NodeIdentity): Promise<void> {
    this.#state(node);
    this.#bootstrapped = true;
    for (const state of this.#nodes.values()) state.joined = state.kubelet;
    void this.#reconcileSoon();
  }

  async kubeletUp(node: NodeIdentity): Promise<void> {
    const state = this.#state(node);
    state.kubelet = true;
    state.joined ||= this.#bootstrapped;
    await this.#patiently(this.#reconcileSoon());
  }

  async staticPods(node: NodeIdentity, pods: RunningStaticPod[]): Promise<void> {
    this.#state(node).staticPods = pods;
    void this.#reconcileSoon();
  }

  async kubeletDown(node: NodeIdentity): Promise<void> {
    const state = this.#state(node);
    state.kubelet = false;
    // The next boot starts them again.
    state.staticPods = [];
    await this.#patiently(this.#reconcileSoon());
  }

  async removed(node: NodeIdentity): Promise<void> {
    await this.kubeletDown(node);
    this.#nodes.delete(node.name);
    await this.#patiently(this.#reconcileSoon());
  }

  async health(node: NodeIdentity): Promise<{ apiServer: boolean; nodeReady: boolean }> {
    const own = this.#ownServer(this.#nodes.get(node.name));
    const apiServer =
      (await (own === undefined ? this.#controlPlane?.answers() : this.#controlPlane?.serverAnswers(own))) ??
      false;
    if (!apiServer || this.#registry === undefined) return { apiServer, nodeReady: false };
    return { apiServer, nodeReady: await this.#registry.ready(node.name).catch(() => false) };
  }

  /** Why the control plane isn't running although it should be, or undefined. */
  get failure(): string | undefined {
    return this.#failure?.message;
  }

  /** Resolves when everything reported so far has taken effect (or has failed: see `failure`). */
  async settled(): Promise<void> {
    let work;
    do {
      work = this.#work;
      await work;
    } while (work !== this.#work);
  }

  /** Makes the cluster's endpoint refuse all connections, or serve again. */
  async closeEndpoint(closed: boolean): Promise<void> {
    await this.#controlPlane?.close(closed);
  }

  /** A kubeconfig with full access to the cluster, once it has been bootstrapped. */
  adminKubeconfig(): string {
    return readFileSync(this.adminKubeconfigFile, "utf8");
  }

  /** Path of that kubeconfig; only its owner may read it. */
  get adminKubeconfigFile(): string {
    const file = this.#controlPlane?.adminKubeconfigFile;
    if (file === undefined || !existsSync(file))
      throw new Error("the lab's cluster has not been bootstrapped yet");
    return file;
  }

  /** Stops every process. etcd's data stays in the folder. */
  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#retry);
    clearTimeout(this.#mirrorSync);
    await this.#work;
    await this.#controlPlane?.stop();
  }

  #state(node: NodeIdentity): NodeState {
    const known = this.#nodes.get(node.name);
    if (known !== undefined) {
      known.identity = { ...node };
      return known;
    }
    const state = createNodeState(node);
    this.#nodes.set(node.name, state);
    return state;
  }

  async #patiently(work: Promise<void>): Promise<void> {
    const given = new AbortController();
    await Promise.race([
      work,
      sleep(patienceMilliseconds, undefined, { signal: given.signal }).catch(() => undefined),
    ]);
    given.abort();
  }

  /** Runs one reconciliation at a time; failures are logged and retried. */
  #reconcileSoon(): Promise<void> {
    this.#work = this.#work.then(async () => {
      if (this.#stopped) return;
      clearTimeout(this.#retry);
      try {
        await this.#reconcile();
      } catch (error) {
        this.#log(`kubernetes: ${error instanceof Error ? error.message : String(error)}`);
        this.#retry = setTimeout(() => void this.#reconcileSoon(), 2000).unref();
      }
    });
    return this.#work;
  }

  async #reconcile(): Promise<void> {
    const controlPlanes = [...this.#nodes.values()].filter((node) => node.controlPlane !== undefined);
    if (this.#bootstrapped && controlPlanes.length === 0) return this.#forget();
    // A stopping kubelet reports it before the control plane on its machine stops too.
    await this.#report((node) => !node.kubelet);
    if (!this.#bootstrapped) return;
    if (this.#hasQuorum(controlPlanes)) await this.#run(controlPlanes);
    else await this.#controlPlane?.stop();
    await this.#report(() => true);
  }

  /** etcd, and thus the API, answers only while most of its members are running. */
  #hasQuorum(controlPlanes: NodeState[]): boolean {
    const members = controlPlanes.filter((node) => node.joined);
    const up = members.filter((node) => node.kubelet).length;
    // Bootstrap may happen before the first kubelet reports.
    return members.length === 0 || up > members.length / 2;
  }

  async #run(controlPlanes: NodeState[]): Promise<void> {
    const settings = this.#wanted(controlPlanes);
    if (settings === undefined) return;
    const fingerprint = JSON.stringify(settings);
    if (this.#failure?.fingerprint === fingerprint && this.#controlPlane?.running !== true) return;
    try {
      this.#controlPlane ??= await this.#prepare(settings);
      const servers = this.#servers(settings, controlPlanes);
      if (servers.length === 0) return;
      await this.#controlPlane.ensure(settings, servers, controlPlanes.length > 1);
      this.#connect(this.#controlPlane);
      this.#failure = undefined;
      if (!this.#furnished) await applySystemObjects(this.adminKubeconfig(), settings.bootstrapToken);
      this.#furnished = true;
    } catch (error) {
      this.#failure = { message: error instanceof Error ? error.message : String(error), fingerprint };
      throw error;
    }
  }

  #servers(settings: ControlPlaneSettings, controlPlanes: NodeState[]): ServerOfControlPlane[] {
    if (this.#options.builds !== undefined)
      return controlPlanes.flatMap((node) => (node.kubelet ? (this.#ownServer(node) ?? []) : []));
    const nodeAddresses = controlPlanes.map((node) => node.identity.address);
    return [{ name: "shared", settings, nodeAddresses }];
  }

  #ownServer(state: NodeState | undefined): ServerOfControlPlane | undefined {
    if (this.#options.builds === undefined || state?.controlPlane === undefined) return undefined;
    const { name, address } = state.identity;
    const port = Number(state.controlPlane.endpoint.port || "443");
    return {
      name,
      settings: state.controlPlane,
      listener: { host: address, port },
      nodeAddresses: [address],
    };
  }

  async #prepare(settings: ControlPlaneSettings): Promise<ControlPlane> {
    const { directory, tools, builds, startTimeoutMilliseconds = 60_000 } = this.#options;
    const reaped = await reapLeftovers(join(directory, "run"));
    if (reaped.length > 0) this.#log(`killed processes left by an earlier lab: ${reaped.join(", ")}`);
    const onCrash = () => void this.#reconcileSoon();
    const controlPlane = await ControlPlane.prepare(
      {
        ...{ directory, tools, log: this.#log, onCrash, startTimeoutMilliseconds },
        ...(builds === undefined ? {} : { builds }),
      },
      settings,
    );
    this.#connect(controlPlane);
    this.#syncMirrorsLater();
    return controlPlane;
  }

  /** Uses the credentials that the control plane issued last. */
  #connect({ adminKubeconfigFile }: ControlPlane): void {
    const credentials = readFileSync(adminKubeconfigFile, "utf8");
    if (credentials === this.#credentials) return;
    this.#credentials = credentials;
    this.#registry = new NodeRegistry(credentials);
  }

  #syncMirrorsLater(): void {
    clearTimeout(this.#mirrorSync);
    if (this.#stopped) return;
    this.#mirrorSync = setTimeout(() => {
      void this.#syncMirrors()
        .catch(() => undefined) // no API server answers
        .then(() => this.#syncMirrorsLater());
    }, mirrorSyncMilliseconds).unref();
  }

  /** Reports mirror pods again that something else has changed. */
  async #syncMirrors(): Promise<void> {
    if (this.#registry === undefined || this.#controlPlane?.running !== true) return;
    const known = [...this.#nodes.values()].filter(
      ({ kubelet, staticPods, reportedPods }) => kubelet && JSON.stringify(staticPods) === reportedPods,
    );
    const changed = await this.#registry.mirrorPods.findChanged(known);
    for (const name of changed) Object.assign(this.#nodes.get(name) ?? {}, { reportedPods: "" });
    if (changed.length > 0) void this.#reconcileSoon();
  }

  /**
   * The settings of the lab's single kube-apiserver: those that all control planes agree on. A change takes effect only
   * once every control plane has it, since until then the endpoint could lead to one without it.
   */
  #wanted(controlPlanes: NodeState[]): ControlPlaneSettings | undefined {
    const all = controlPlanes.flatMap((node) => (node.controlPlane === undefined ? [] : [node.controlPlane]));
    const [first] = all;
    if (first === undefined) return undefined;
    const shared = (own: ControlPlaneSettings) =>
      JSON.stringify([
        { ...own.apiServer, certSANs: [] },
        own.controllerManagerArgs,
        own.schedulerArgs,
        own.images,
        authoritiesOf(own),
      ]);
    const agreed = all.every((settings) => shared(settings) === shared(first));
    if (!agreed && this.#inEffect !== undefined) return this.#inEffect;
    const certSANs = [...new Set(all.flatMap((settings) => settings.apiServer.certSANs))].sort();
    this.#inEffect = { ...first, apiServer: { ...first.apiServer, certSANs } };
    return this.#inEffect;
  }

  /** Updates the Node objects to match the nodes. */
  async #report(which: (node: NodeState) => boolean): Promise<void> {
    const registry = this.#registry;
    if (registry === undefined || this.#controlPlane?.running !== true) return;
    await Promise.all(
      [...this.#nodes.values()].filter(which).map((state) => {
        const told = state.reporting.then(() => syncNode(registry, state));
        state.reporting = told.catch(() => undefined);
        return told;
      }),
    );
  }

  /** The last control plane was reset, and the cluster is gone with it. */
  async #forget(): Promise<void> {
    await this.#controlPlane?.stop();
    this.#controlPlane?.wipe();
    this.#controlPlane = undefined;
    this.#registry = undefined;
    this.#inEffect = undefined;
    this.#furnished = false;
    this.#failure = undefined;
    this.#bootstrapped = false;
    for (const state of this.#nodes.values())
      Object.assign(state, { joined: false, reported: "", reportedPods: "" });
  }
}
