import { Cancelled } from "../../provider/errors.ts";
import type { Clock } from "../../provider/clock.ts";
import { KubernetesError } from "../../provider/kubernetes.ts";
import type {
  ClaimSpec,
  PodSpec,
  ProbeCluster,
  ProbedAttachment,
  ProbedClass,
  ProbedNode,
  ProbedVolume,
  ProbeNamespace,
  ProbePod,
  Warning,
} from "../../provider/storage/probe/cluster.ts";

/** Time that passes when everyone waits: the shortest waiter wakes first. */
export class VirtualClock implements Clock {
  #now = 0;
  #turning = false;
  readonly #sleepers = new Set<{ at: number; wake: () => void }>();

  now(): number {
    return this.#now;
  }

  calendar(): number {
    return this.#now;
  }

  random(): number {
    return 0.5;
  }

  sleep(ms: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(new Cancelled());
      const stop = (): void => {
        this.#sleepers.delete(sleeper);
        reject(new Cancelled());
      };
      const sleeper = {
        at: this.#now + ms,
        wake: () => {
          signal.removeEventListener("abort", stop);
          resolve();
        },
      };
      signal.addEventListener("abort", stop, { once: true });
      this.#sleepers.add(sleeper);
      void this.#turn();
    });
  }

  async #turn(): Promise<void> {
    if (this.#turning) return;
    this.#turning = true;
    for (;;) {
      for (let turns = 0; turns < 3; turns += 1) await new Promise((resolve) => setImmediate(resolve));
      const [next] = [...this.#sleepers].sort((one, other) => one.at - other.at);
      if (next === undefined) break;
      this.#sleepers.delete(next);
      this.#now = Math.max(this.#now, next.at);
      next.wake();
    }
    this.#turning = false;
  }
}

interface Claim extends ClaimSpec {
  namespace: string;
  since: number;
  volume: string;
}

interface Pod extends PodSpec {
  namespace: string;
  since: number;
  /** When its deletion was requested. */
  until?: number;
}

interface Volume {
  namespace: string;
  claim: string;
  retained: boolean;
  content: string;
  /** The node it is attached to, since when, and when it is to be detached. */
  on: { node: string; since: number; until?: number }[];
  /** When its claim was deleted. */
  released?: number;
}

/** How long each operation takes, in milliseconds. */
const slow = {
  provision: 2_000,
  attach: 1_000,
  mount: 1_000,
  run: 500,
  end: 500,
  detach: 1_000,
  remove: 1_000,
};
const driver = "iscsi.csi.joviandss.open-e.com";

/** An in-memory cluster with a CSI driver. Its state follows from the times of requests and the failures that tests inject. */
export class FakeProbeCluster implements ProbeCluster {
  readonly #clock: Clock;
  readonly classes = new Map<string, ProbedClass & { retain: boolean }>();
  readonly nodeList: (ProbedNode & { runsDriver: boolean; registered: boolean })[] = [];
  readonly namespaces = new Map<
    string,
    ProbeNamespace & { labels: Record<string, string>; until?: number }
  >();
  #claims: Claim[] = [];
  #pods: Pod[] = [];
  readonly #volumes = new Map<string, Volume>();
  /** Called before each answer; may throw. */
  before: (method: string) => void = () => undefined;
  /** Classes whose claims stay unbound. */
  readonly unprovisioned = new Set<string>();
  /** The error of attaching to a node. */
  readonly unattachable = new Map<string, string>();
  /** Changes a volume's content between pods. */
  damage: (content: string) => string = (content) => content;
  /** What a pod reads back right after it writes. */
  readBack: (content: string) => string = (content) => content;
  /** Volumes that the driver fails to delete. */
  undeletable = false;
  attachRequired = true;
  /** The highest number of claims at any time. */
  mostClaims = 0;
  readonly podSpecs: PodSpec[] = [];
  readonly claimSpecs: ClaimSpec[] = [];
  /** Pods created while their volume was still attached to another node, or used by another pod. */
  readonly collisions: string[] = [];

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  class(name: string, change: Partial<ProbedClass> & { retain?: boolean } = {}): this {
    const plain = { provisioner: driver, waitsForConsumer: false, isShare: false, retain: false };
    this.classes.set(name, { name, ...plain, ...change });
    return this;
  }

  node(name: string, change: Partial<FakeProbeCluster["nodeList"][number]> = {}): this {
    const plain = { ready: true, reason: "", unschedulable: false, taints: [] };
    this.nodeList.push({ name, ...plain, runsDriver: true, registered: true, ...change });
    return this;
  }

  /** Every object of any probe that exists now. */
  contents(): string[] {
    this.#settle();
    return [
      ...[...this.namespaces.keys()].map((name) => `namespace ${name}`),
      ...this.#claims.map(({ namespace, name }) => `claim ${namespace}/${name}`),
      ...this.#pods.map(({ namespace, name }) => `pod ${namespace}/${name}`),
      ...[...this.#volumes.keys()].map((name) => `volume ${name}`),
    ];
  }

  async storageClass(name: string): Promise<ProbedClass | undefined> {
    this.#answer("storageClass");
    return this.classes.get(name);
  }

  async attaches(): Promise<boolean> {
    this.#answer("attaches");
    return this.attachRequired;
  }

  async nodes(): Promise<ProbedNode[]> {
    this.#answer("nodes");
    return this.nodeList;
  }

  async registered(): Promise<Map<string, string[]>> {
    this.#answer("registered");
    return new Map(this.nodeList.map(({ name, registered }) => [name, registered ? [driver] : []]));
  }

  async nodesOf(name: string): Promise<Set<string>> {
    this.#answer("nodesOf");
    const own = this.nodeList.filter(({ runsDriver }) => runsDriver && name === driver);
    return new Set(own.map((node) => node.name));
  }

  async createNamespace(name: string, labels: Record<string, string>): Promise<void> {
    this.#answer("createNamespace");
    this.namespaces.set(name, { name, labels, version: "", deleting: false });
  }

  async probeNamespaces(): Promise<ProbeNamespace[]> {
    this.#answer("probeNamespaces");
    return [...this.namespaces.values()]
      .filter(({ labels }) => labels["talos-iscsi/probe"] !== undefined)
      .map(({ name, version, deleting }) => ({ name, version, deleting }));
  }

  async beat(namespace: string, count: number): Promise<void> {
    this.#answer("beat");
    const found = this.namespaces.get(namespace);
    if (found === undefined) throw new KubernetesError(`namespaces "${namespace}" not found`, 404);
    found.version = String(count);
  }

  async deleteNamespace(name: string): Promise<void> {
    this.#answer("deleteNamespace");
    const found = this.namespaces.get(name);
    if (found === undefined) return;
    found.deleting = true;
    found.until = this.#clock.now();
    for (const pod of this.#pods.filter(({ namespace }) => namespace === name))
      pod.until ??= this.#clock.now();
  }

  async createClaim(namespace: string, claim: ClaimSpec): Promise<void> {
    this.#answer("createClaim");
    this.claimSpecs.push(claim);
    const volume = `pvc-${namespace.slice(-8)}-${claim.name}`;
    this.#claims.push({ ...claim, namespace, volume, since: this.#clock.now() });
    this.mostClaims = Math.max(this.mostClaims, this.#claims.length);
  }

  async volumeOf(namespace: string, name: string): Promise<string | undefined> {
    this.#answer("volumeOf");
    const claim = this.#claims.find((one) => one.namespace === namespace && one.name === name);
    if (claim === undefined) throw new KubernetesError(`persistentvolumeclaims "${name}" not found`, 404);
    return this.#volumes.has(claim.volume) ? claim.volume : undefined;
  }

  async deleteClaim(namespace: string, name: string): Promise<void> {
    this.#answer("deleteClaim");
    this.#removeClaims((claim) => claim.namespace === namespace && claim.name === name);
  }

  async volumes(namespace: string): Promise<ProbedVolume[]> {
    this.#answer("volumes");
    return [...this.#volumes]
      .filter(([, volume]) => volume.namespace === namespace)
      .map(([name, { released }]) => ({ name, state: released === undefined ? "Bound" : "Released" }));
  }

  async namespacesOfReleased(): Promise<Set<string>> {
    this.#answer("namespacesOfReleased");
    const released = [...this.#volumes.values()].filter((volume) => volume.released !== undefined);
    return new Set(released.map(({ namespace }) => namespace));
  }

  async volume(name: string): Promise<ProbedVolume | undefined> {
    this.#answer("volume");
    return this.#volumes.has(name) ? { name, state: "Failed: the array is busy" } : undefined;
  }

  async deleteWithClaim(name: string): Promise<void> {
    this.#answer("deleteWithClaim");
    const volume = this.#volumes.get(name);
    if (volume !== undefined) volume.retained = false;
  }

  async createPod(namespace: string, spec: PodSpec): Promise<void> {
    this.#answer("createPod");
    this.podSpecs.push(spec);
    const others = this.#pods.filter((pod) => pod.namespace === namespace && pod.claim === spec.claim);
    const on = this.#volumeOf({ ...spec, namespace })?.on ?? [];
    if (others.length + on.length > 0) this.collisions.push(spec.name);
    this.#pods.push({ ...spec, namespace, since: this.#clock.now() });
  }

  async pod(namespace: string, name: string): Promise<ProbePod | undefined> {
    this.#answer("pod");
    const pod = this.#pods.find((one) => one.namespace === namespace && one.name === name);
    if (pod === undefined) return undefined;
    const started = this.#startOf(pod);
    const now = this.#clock.now();
    if (started === undefined || now < started)
      return { started: false, exitCode: undefined, message: "", waiting: "ContainerCreating" };
    if (now < started + slow.run) return { started: true, exitCode: undefined, message: "", waiting: "" };
    return { started: true, exitCode: 0, message: this.#result(pod), waiting: "" };
  }

  async deletePod(namespace: string, name: string): Promise<void> {
    this.#answer("deletePod");
    for (const pod of this.#pods)
      if (pod.namespace === namespace && pod.name === name) pod.until ??= this.#clock.now();
  }

  async attachments(): Promise<ProbedAttachment[]> {
    this.#answer("attachments");
    return [...this.#volumes].flatMap(([volume, { on }]) =>
      on.map(({ node, since }) => {
        const error = this.unattachable.get(node) ?? "";
        const attached = error === "" && this.#clock.now() >= since + slow.attach;
        return { volume, node, attached, error };
      }),
    );
  }

  async warnings(namespace: string): Promise<Warning[]> {
    this.#answer("warnings");
    return [
      ...this.#claims
        .filter((claim) => claim.namespace === namespace && this.unprovisioned.has(claim.storageClass))
        .map(({ name }) => ({ object: name, reason: "ProvisioningFailed", message: "the pool is full" })),
      ...this.#pods
        .filter((pod) => pod.namespace === namespace && this.unattachable.has(pod.node))
        .map(({ name, node }) => ({
          object: name,
          reason: "FailedAttachVolume",
          message: this.unattachable.get(node) ?? "",
        })),
    ];
  }

  #answer(method: string): void {
    this.#settle();
    this.before(method);
  }

  /** Brings the state up to the current time. */
  #settle(): void {
    const now = this.#clock.now();
    for (const claim of this.#claims) {
      const { waitsForConsumer = false, retain = false } = this.classes.get(claim.storageClass) ?? {};
      const consumer = this.#pods.find(
        (pod) => pod.namespace === claim.namespace && pod.claim === claim.name,
      );
      const since = waitsForConsumer ? consumer?.since : claim.since;
      const isDue = since !== undefined && now >= since + slow.provision;
      if (!isDue || this.unprovisioned.has(claim.storageClass) || this.#volumes.has(claim.volume)) continue;
      const { namespace, name } = claim;
      this.#volumes.set(claim.volume, { namespace, claim: name, retained: retain, content: "", on: [] });
    }
    for (const pod of this.#pods) {
      const volume = this.#volumeOf(pod);
      if (volume !== undefined && pod.until === undefined && !volume.on.some(({ node }) => node === pod.node))
        volume.on.push({ node: pod.node, since: now });
      if (volume === undefined || pod.until === undefined) continue;
      for (const place of volume.on) if (place.node === pod.node) place.until ??= pod.until + slow.end;
    }
    this.#pods = this.#pods.filter(({ until }) => until === undefined || now < until + slow.end);
    for (const volume of this.#volumes.values()) {
      const before = volume.on.length;
      volume.on = volume.on.filter(({ until }) => until === undefined || now < until + slow.detach);
      if (volume.on.length < before) volume.content = this.damage(volume.content);
    }
    for (const [name, { until }] of this.namespaces) {
      if (until === undefined || this.#pods.some(({ namespace }) => namespace === name)) continue;
      this.#removeClaims(({ namespace }) => namespace === name);
      if (now >= until + slow.remove) this.namespaces.delete(name);
    }
    for (const [name, { released, retained, on }] of this.#volumes)
      if (released !== undefined && !retained && on.length === 0 && !this.undeletable)
        if (now >= released + slow.remove) this.#volumes.delete(name);
  }

  #removeClaims(which: (claim: Claim) => boolean): void {
    for (const claim of this.#claims.filter(which)) {
      const volume = this.#volumes.get(claim.volume);
      if (volume !== undefined) volume.released ??= this.#clock.now();
    }
    this.#claims = this.#claims.filter((claim) => !which(claim));
  }

  #volumeOf({ namespace, claim }: { namespace: string; claim: string }): Volume | undefined {
    return [...this.#volumes.values()].find((one) => one.namespace === namespace && one.claim === claim);
  }

  #startOf(pod: Pod): number | undefined {
    const place = this.#volumeOf(pod)?.on.find(({ node }) => node === pod.node);
    if (place === undefined || this.unattachable.has(pod.node)) return undefined;
    return place.since + slow.attach + slow.mount;
  }

  #result(pod: Pod): string {
    const volume = this.#volumeOf(pod);
    const times = { began: 1, ended: 1.25 };
    if (pod.task === "read") return JSON.stringify({ found: volume?.content ?? "", ...times });
    const written = `sum of ${pod.name}`;
    if (volume !== undefined) volume.content = written;
    return JSON.stringify({ written, found: this.readBack(written), ...times });
  }
}
