import type { Hardware } from "../../../talos/hardware/reported.ts";
import type { MachineStatus, TalosActor } from "../../../talos/api/talosClient.ts";
import { TalosError, type TalosErrorKind } from "../../../talos/api/errors.ts";
import { snapshotFile } from "../../../lab/node/services/etcdSnapshot.ts";
import { etcdVersionOf } from "../../../talos/etcdVersions.ts";
import { upgradeApiOf } from "../../../talos/features.ts";
import { installerPartsOf } from "../../../talos/image.ts";
import { KubernetesError } from "../../../provider/kubernetes.ts";
import { FakeKubernetes } from "../../provider/fakeKubernetes.ts";

export interface Image {
  version: string;
  /** Undefined for an image that no factory built. Such a node never reports a schematic. */
  schematic: string | undefined;
}

/** What goes wrong with a machine in a rollout. */
export type MachineTrouble =
  | "pull fails"
  | "installer fails"
  | "falls back"
  | "budget blocks"
  | "never detaches"
  /** Detached, but still in use according to the kubelet. */
  | "keeps in use"
  | "leaks a session"
  /** A volume or a session appears after the drain. */
  | "attaches late";

/** A machine in memory, as far as an upgrade sees it. Its time is counted in calls. */
export interface Machine {
  readonly name: string;
  readonly address: string;
  readonly role: "controlplane" | "worker";
  runs: Image;
  /** Installed, and started at the next boot. */
  installed?: Image;
  trouble?: MachineTrouble | undefined;
  boot: number;
  /** How many more calls get no answer. */
  away: number;
  installs: number;
  boots: number;
  /** Failed for good: nothing answers. */
  failed?: boolean;
  /** How many more reads lack the schematic. */
  late?: number;
  /** A reboot was requested, even if the answer was lost. */
  askedToReboot?: boolean;
  /** Its iSCSI session. */
  session?: boolean;
  /** It was reset: it has left etcd, and will be in maintenance mode once it is up. */
  wiped?: boolean;
}

/** External faults during a rollout. */
export interface Faults {
  peer?: { when: string; of: number; fails: number } | undefined;
  late: number;
  error?: { at: number; method: string; nth: number; kind: string } | undefined;
}

/** Machines and their Kubernetes. They record a violation as soon as too many are down. */
export class FakeFleet {
  readonly machines: Machine[];
  readonly kubernetes = new FakeKubernetes();
  /** Everything that disturbs a machine, in order: `cordon w1`, `install cp1`, `reboot cp1`. */
  readonly log: string[] = this.kubernetes.log;
  readonly mostDown = { controlplane: 0, worker: 0 };
  /** Violations of the invariants. */
  readonly violations: string[] = [];
  /** Names of machines whose upgrade or removal has begun. */
  readonly tried = new Set<string>();
  /** Names of machines that are to be reset. */
  readonly leaving = new Set<string>();
  /** Collected if a test sets it. */
  failures: Error[] | undefined;
  /** How the rollout handles leaked sessions. */
  leftoverSessions: "refuse" | "warn" = "warn";
  #faults: Faults = { late: 0 };
  #calls = 0;
  #struck = false;

  constructor(machines: Machine[]) {
    this.machines = machines;
    for (const machine of machines) {
      const { name, address } = machine;
      this.kubernetes.add(name, address, { bootId: bootIdOf(name, 0) });
      this.kubernetes.storage.drivers.set(name, ["iscsi.csi.joviandss.open-e.com"]);
      this.#startPod(machine);
    }
    this.kubernetes.after = (entry) => {
      const [what = "", name = ""] = entry.split(" ");
      this.happened(what, name.replace("pod-of-", ""));
      if (what === "delete" && this.get(name).wiped !== true)
        this.violations.push(`Kubernetes forgot ${name}, whose machine was not reset`);
      if (what === "evict") setImmediate(() => this.#leave(this.get(name.replace("pod-of-", ""))));
    };
  }

  /** A machine's pod with its volume. */
  #startPod(machine: Machine): void {
    const { name } = machine;
    this.kubernetes.pod(name, `pod-of-${name}`, { claims: [`default/claim-of-pv-of-${name}`] });
    this.kubernetes.storage.attach(name, `pv-of-${name}`);
    machine.session = true;
  }

  /** Detaches the volume of an evicted pod. */
  #leave(machine: Machine): void {
    if (machine.trouble !== "leaks a session") machine.session = false;
    if (machine.trouble !== "never detaches") this.kubernetes.storage.detach(`pv-of-${machine.name}`);
    if (machine.trouble === "keeps in use") this.#inUse(machine, ["kubernetes.io/csi/a^b"]);
  }

  #inUse({ name }: Machine, volumesInUse: string[]): void {
    Object.assign(this.kubernetes.cluster.get(name) ?? {}, { volumesInUse });
  }

  /** Attaches a volume, or opens only its session. */
  attachLate(machine: Machine): void {
    const volume = `late-on-${machine.name}`;
    const { storage } = this.kubernetes;
    if (this.leftoverSessions === "refuse") machine.session = true;
    else if (storage.attached.all.every((one) => one.volume !== volume)) storage.attach(machine.name, volume);
  }

  get(name: string): Machine {
    const machine = this.machines.find((candidate) => candidate.name === name);
    if (machine === undefined) throw new Error(`no machine ${name}`);
    return machine;
  }

  client(address: string): TalosActor {
    const machine = this.machines.find((candidate) => candidate.address === address);
    if (machine === undefined) throw new Error(`no machine at ${address}`);
    return this.#failing(new FakeClient(this, machine), this.machines.indexOf(machine));
  }

  /** Injects faults from now on. */
  strike(faults: Faults): void {
    this.#faults = faults;
    this.kubernetes.before = (method) => this.#call(-1, method);
  }

  /** Ends all faults, and repairs failed machines. */
  heal(): void {
    this.#faults = { late: 0 };
    for (const machine of this.machines) delete machine.failed;
  }

  /** Simulates someone removing a machine from the cluster by hand. */
  takenOut(machine: Machine): void {
    Object.assign(machine, { wiped: true, away: 0, session: false });
    this.kubernetes.cluster.delete(machine.name);
    this.kubernetes.pods = this.kubernetes.pods.filter(({ node }) => node !== machine.name);
  }

  struck(method: string): boolean {
    return this.#struck && this.#faults.error?.method === method && this.#faults.error.at === -1;
  }

  get lateReads(): number {
    return this.#faults.late;
  }

  /** Records an event of a machine. */
  note(what: string, machine: Machine): void {
    this.log.push(`${what} ${machine.name}`);
    this.happened(what, machine.name);
  }

  happened(what: string, name: string): void {
    const { peer } = this.#faults;
    if (peer === undefined || peer.when !== what) return;
    const controlPlanes = this.machines.filter(({ role }) => role === "controlplane");
    const fails = controlPlanes[peer.fails % controlPlanes.length];
    // Another machine's event can happen at any moment, even between a check and its action, where nothing can detect it.
    const of = controlPlanes[peer.of % controlPlanes.length];
    if (of?.name !== name || fails === undefined || fails === of || fails.away > 0 || fails.wiped) return;
    fails.failed = true;
  }

  #failing<T extends object>(client: T, index: number): T {
    return new Proxy(client, {
      get: (target, name) => {
        const member: unknown = Reflect.get(target, name, target);
        if (typeof member !== "function") return member;
        return (...args: unknown[]): unknown => {
          try {
            this.#call(index, String(name));
          } catch (error) {
            return Promise.reject(error instanceof Error ? error : new Error(String(error)));
          }
          return Reflect.apply(member, target, args);
        };
      },
    });
  }

  #call(index: number, method: string): void {
    const { error } = this.#faults;
    if (error === undefined || error.method !== method || this.#struck) return;
    if (error.at !== -1 && error.at % this.machines.length !== index) return;
    if (error.at === -1 && index !== -1) return;
    this.#calls += 1;
    if (this.#calls < error.nth) return;
    this.#struck = true;
    if (error.kind === "unexpected") throw new Error("an error that nobody foresaw");
    if (index === -1) {
      const status = { denied: 403, notFound: 404, failed: 500 }[error.kind];
      throw new KubernetesError(error.kind, status);
    }
    throw new TalosError(error.kind as TalosErrorKind, "a node", method, error.kind);
  }

  setTrouble(name: string, trouble: MachineTrouble | undefined): void {
    const machine = this.get(name);
    machine.trouble = trouble;
    this.#inUse(machine, []);
    this.kubernetes.storage.detach(`late-on-${name}`);
    // Someone has cleaned up after the driver.
    if (!this.kubernetes.pods.some((pod) => pod.node === name)) this.#leave(machine);
    if (trouble === "budget blocks") this.kubernetes.blocked.set(`pod-of-${name}`, "a budget");
    else this.kubernetes.blocked.delete(`pod-of-${name}`);
  }

  down(machine: Machine, calls: number): void {
    this.note("reboot", machine);
    machine.askedToReboot = true;
    this.#goesDown(machine, calls, "rebooted");
    machine.boots += 1;
    for (const role of ["controlplane", "worker"] as const) {
      const away = this.machines.filter((one) => one.role === role && one.away > 0).length;
      this.mostDown[role] = Math.max(this.mostDown[role], away);
    }
  }

  /** Removes the machine from etcd, with its configuration and data. */
  reset(machine: Machine): void {
    if (!this.leaving.has(machine.name)) this.violations.push(`${machine.name} was reset, and is to stay`);
    if (machine.wiped === true) this.violations.push(`${machine.name} was reset twice`);
    this.#goesDown(machine, 5, "reset");
    machine.wiped = true;
    this.note("reset", machine);
  }

  /** Members of etcd: control planes that were not reset. */
  get members(): Machine[] {
    return this.machines.filter(({ role, wiped }) => role === "controlplane" && wiped !== true);
  }

  #goesDown(machine: Machine, calls: number, how: string): void {
    if (machine.role === "controlplane") {
      const others = this.members.filter((one) => one !== machine);
      const gone = others.filter(({ away, failed }) => away > 0 || failed === true);
      const names = gone.map(({ name }) => name).join();
      if (gone.length > 0) this.violations.push(`${machine.name} was ${how} while ${names} was down`);
      const of = how === "reset" ? others.length : this.members.length;
      if (others.length - gone.length < Math.floor(of / 2) + 1 && this.members.length > 1)
        this.violations.push(`${machine.name} was ${how}, and etcd lost its majority`);
    }
    const target = machine.installed?.version;
    const behind = this.machines.filter(
      (one) => target !== undefined && minorOf(one.runs.version) < minorOf(target) - 1,
    );
    if (behind.length > 0)
      this.violations.push(
        `${machine.name} rebooted into ${target} while ${behind.map(({ name, runs }) => `${name} ran ${runs.version}`).join()}`,
      );
    // The only node of a cluster cannot be drained.
    if (this.kubernetes.cluster.size > 1) {
      if (this.kubernetes.storage.attached.all.some(({ node }) => node === machine.name))
        this.violations.push(`${machine.name} went down with a volume attached`);
      if (this.kubernetes.get(machine.name).volumesInUse.length > 0)
        this.violations.push(`${machine.name} went down with a volume in use`);
      if (machine.session === true && this.leftoverSessions === "refuse")
        this.violations.push(`${machine.name} went down with an iSCSI session`);
    }
    machine.session = false;
    machine.away = calls;
    this.kubernetes.get(machine.name).ready = false;
  }

  /** Simulates a restart of a machine's services. */
  configured(machine: Machine): void {
    this.log.push(`configure ${machine.name}`);
    const gone = this.members.filter((one) => one !== machine && one.away > 0);
    if (machine.role === "controlplane" && gone.length > 0)
      this.violations.push(
        `${machine.name} configured while ${gone.map(({ name }) => name).join()} was down`,
      );
  }

  up(machine: Machine): void {
    if (machine.wiped === true) {
      machine.boot += 1;
      return;
    }
    if (machine.installed !== undefined && machine.trouble !== "falls back") machine.runs = machine.installed;
    delete machine.installed;
    machine.boot += 1;
    machine.late = this.lateReads;
    Object.assign(this.kubernetes.get(machine.name), {
      ready: true,
      bootId: bootIdOf(machine.name, machine.boot),
    });
    this.#startPod(machine);
  }
}

function imageOf({ version, schematic }: Image): string {
  return `factory.talos.dev/metal-installer/${schematic ?? ""}:${version}@sha256:${"0".repeat(64)}`;
}

function minorOf(version: string): number {
  return Number(version.split(".")[1]);
}

export function bootIdOf(name: string, boot: number): string {
  return `boot ${boot} of ${name}`;
}

class FakeClient implements TalosActor {
  readonly #fleet: FakeFleet;
  readonly #machine: Machine;

  constructor(fleet: FakeFleet, machine: Machine) {
    this.#fleet = fleet;
    this.#machine = machine;
  }

  get node(): string {
    return this.#machine.address;
  }

  async version() {
    return { tag: this.#answer().runs.version, platform: "metal", arch: "amd64" };
  }
  async bootId(): Promise<string> {
    const { name, boot } = this.#answer();
    return bootIdOf(name, boot);
  }
  async machineStatus(): Promise<MachineStatus> {
    this.#answer();
    return { stage: "running", ready: true, unmet: [] };
  }
  async services() {
    this.#answer();
    return [{ id: "ext-iscsid", state: "Running", health: "unknown" as const, lastEvent: "" }];
  }
  async extensions() {
    const machine = this.#answer();
    const { schematic } = machine.runs;
    if ((machine.late ?? 0) > 0) {
      machine.late = (machine.late ?? 0) - 1;
      return { installed: [], schematicId: undefined };
    }
    if (schematic === undefined) return { installed: [], schematicId: undefined };
    return { installed: [{ name: "iscsi-tools", version: "v0.2.0" }], schematicId: schematic };
  }
  async kubernetesNode(): Promise<string> {
    return this.#answer().name;
  }
  async kubeconfig(): Promise<string> {
    this.#answer();
    return "of a test";
  }
  async machineConfiguration(): Promise<undefined> {
    this.#answer();
  }
  async activeConfiguration(): Promise<undefined> {
    this.#answer();
  }
  async hardware(): Promise<Hardware> {
    return { disks: [], links: [] };
  }

  async installedRelease(): Promise<undefined> {
    return undefined;
  }

  async secureBoot(): Promise<boolean> {
    return false;
  }

  async bootedWithUki(): Promise<boolean> {
    this.#answer();
    return true;
  }
  async apiServer(): Promise<undefined> {
    this.#answer();
  }
  async staticPod(): Promise<undefined> {
    this.#answer();
  }
  async bootstrapManifests(): Promise<never[]> {
    this.#answer();
    return [];
  }
  async inMaintenance(): Promise<boolean> {
    const { wiped, away, failed } = this.#machine;
    return wiped === true && away === 0 && failed !== true;
  }
  async hasFile(): Promise<boolean> {
    this.#answer();
    return true;
  }
  async list(): Promise<string[]> {
    const machine = this.#answer();
    const sessions = machine.session === true ? ["session1"] : [];
    // The drain's last check. Only the gate can see what appears from now on.
    if (machine.trouble === "attaches late" && sessions.length === 0) this.#fleet.attachLate(machine);
    return sessions;
  }
  async readText(): Promise<undefined> {
    this.#answer();
  }
  async etcdMembers() {
    this.#answer();
    return this.#fleet.members.map(({ name, address }) => ({
      id: name,
      hostname: name,
      addresses: [address],
      learner: false,
    }));
  }
  async etcdStatus() {
    const { name, runs } = this.#answer();
    const version = etcdVersionOf(runs.version) ?? "";
    // The data has the version of the cluster's oldest etcd (etcd v3.7.1 server/etcdserver/version/monitor.go).
    const oldest = this.#fleet.machines
      .filter(({ role }) => role === "controlplane")
      .map((one) => etcdVersionOf(one.runs.version) ?? "")
      .sort((a, b) => a.localeCompare(b, "en", { numeric: true }));
    const storageVersion = (oldest[0] ?? version).replace(/\d+$/, "0");
    return { memberId: name, version, storageVersion, leader: "1", learner: false, errors: [] };
  }
  async etcdAlarms() {
    this.#answer();
    return [];
  }
  async etcdDowngrading(): Promise<boolean> {
    this.#answer();
    return false;
  }
  async *etcdSnapshot(): AsyncGenerator<Buffer> {
    this.#answer();
    yield snapshotFile(1);
  }
  async etcdDowngrade(): Promise<void> {
    throw new Error("these rollouts go nowhere back");
  }

  async pull(image: string): Promise<string> {
    this.#only("lifecycle");
    this.#registry();
    return image;
  }
  async pullLegacy(): Promise<void> {
    this.#only("machine");
    this.#registry();
  }
  async install(image: string): Promise<number> {
    this.#only("lifecycle");
    return this.#install(image) ? 0 : 3;
  }
  async installHistory() {
    const { installed } = this.#answer();
    const image = installed === undefined ? [] : [imageOf(installed)];
    return { last: undefined, completed: image, complete: true };
  }
  async reboot(): Promise<void> {
    this.#fleet.down(this.#answer(), 5);
  }
  async upgradeLegacy({ image }: { image: string }): Promise<string> {
    this.#only("machine");
    if (!this.#install(image)) throw this.#error("failed", "the installer failed");
    this.#fleet.down(this.#machine, 5);
    return "actor";
  }
  async upgradeFailure(): Promise<undefined> {}

  async reset(): Promise<string> {
    this.#fleet.reset(this.#answer());
    return "actor";
  }
  async applyConfiguration() {
    this.#fleet.configured(this.#answer());
    return { mode: "NO_REBOOT", warnings: [], details: "" };
  }
  async applyFirstConfiguration(): Promise<never> {
    throw new Error("a rollout configures nothing");
  }
  async removeEtcdMember(): Promise<never> {
    throw new Error("a rollout removes no member");
  }
  async restartService(): Promise<never> {
    throw new Error("a rollout restarts no service");
  }
  async forfeitLeadership(): Promise<void> {}
  async startService(): Promise<void> {}
  async stopService(): Promise<void> {}
  async diagnose(): Promise<undefined> {}
  reconnect(): void {}
  close(): void {}

  /** Every call moves the machine one step through a boot. */
  #answer(): Machine {
    if (this.#machine.failed === true) throw this.#error("unreachable", "no route to host");
    if (this.#machine.away > 0) {
      this.#machine.away -= 1;
      if (this.#machine.away === 0) this.#fleet.up(this.#machine);
      throw this.#error("unreachable", "connection refused");
    }
    // In maintenance mode, its certificate is self-signed.
    if (this.#machine.wiped === true) throw this.#error("certificate", "self-signed certificate");
    return this.#machine;
  }

  #install(image: string): boolean {
    const { schematicId: schematic, version } = installerPartsOf(image) ?? {};
    if (schematic === undefined || version === undefined)
      throw new Error(`not the image of a factory: ${image}`);
    // The older API installs and reboots in one call, so nothing can be observed in between.
    if (upgradeApiOf(this.#machine.runs.version) === "machine")
      this.#fleet.log.push(`install ${this.#machine.name}`);
    else this.#fleet.note("install", this.#machine);
    this.#machine.installs += 1;
    if (this.#machine.installed !== undefined)
      this.#fleet.violations.push(`${this.#machine.name} was installed twice in one boot`);
    if (this.#machine.trouble === "installer fails") return false;
    this.#machine.installed = { schematic, version };
    return true;
  }

  #registry(): void {
    this.#fleet.happened("pull", this.#machine.name);
    if (this.#machine.trouble === "pull fails") throw this.#error("notFound", "no such image");
  }

  #only(api: "machine" | "lifecycle"): void {
    const { runs } = this.#answer();
    if (upgradeApiOf(runs.version) !== api) throw this.#error("unimplemented", "unknown method");
  }

  #error(kind: TalosErrorKind, detail: string): TalosError {
    return new TalosError(kind, this.#machine.address, "a call", detail);
  }
}
