import type { MachineStatus, TalosActor } from "../../../talos/api/talosClient.ts";
import { TalosError, type TalosErrorKind } from "../../../talos/api/errors.ts";
import { snapshotFile } from "../../../lab/node/etcdSnapshot.ts";
import { etcdOf } from "../../../talos/etcdVersions.ts";
import { upgradeApi } from "../../../talos/features.ts";
import { parseInstallerImage } from "../../../talos/image.ts";
import { FakeKubernetes } from "../../provider/fakeKubernetes.ts";

export interface Image {
  version: string;
  schematic: string;
}

/** What goes wrong with a machine in a rollout. */
export type Trouble = "pull fails" | "installer fails" | "falls back" | "budget blocks";

/** A machine in memory: as much of a node as an upgrade sees. Its time is counted in calls. */
export interface Machine {
  readonly name: string;
  readonly address: string;
  readonly role: "controlplane" | "worker";
  runs: Image;
  /** Installed, and started by the next boot. */
  installed?: Image;
  trouble?: Trouble | undefined;
  boot: number;
  /** How many more calls get no answer. */
  away: number;
  installs: number;
  boots: number;
}

/** Machines and their Kubernetes, which tell at once when too many of them are down. */
export class FakeFleet {
  readonly machines: Machine[];
  readonly kubernetes = new FakeKubernetes();
  /** Everything that disturbs a machine, in order: `cordon w1`, `install cp1`, `reboot cp1`. */
  readonly log: string[] = this.kubernetes.log;
  readonly mostDown = { controlplane: 0, worker: 0 };

  constructor(machines: Machine[]) {
    this.machines = machines;
    for (const { name, address } of machines)
      this.kubernetes.add(name, address, { bootId: bootIdOf(name, 0) }).pod(name, `pod-of-${name}`);
  }

  get(name: string): Machine {
    const machine = this.machines.find((candidate) => candidate.name === name);
    if (machine === undefined) throw new Error(`no machine ${name}`);
    return machine;
  }

  client(address: string): TalosActor {
    const machine = this.machines.find((candidate) => candidate.address === address);
    if (machine === undefined) throw new Error(`no machine at ${address}`);
    return new FakeClient(this, machine);
  }

  setTrouble(name: string, trouble: Trouble | undefined): void {
    this.get(name).trouble = trouble;
    if (trouble === "budget blocks") this.kubernetes.blocked.set(`pod-of-${name}`, "a budget");
    else this.kubernetes.blocked.delete(`pod-of-${name}`);
  }

  down(machine: Machine, calls: number): void {
    this.log.push(`reboot ${machine.name}`);
    machine.away = calls;
    machine.boots += 1;
    this.kubernetes.get(machine.name).ready = false;
    for (const role of ["controlplane", "worker"] as const) {
      const away = this.machines.filter((one) => one.role === role && one.away > 0).length;
      this.mostDown[role] = Math.max(this.mostDown[role], away);
    }
  }

  up(machine: Machine): void {
    if (machine.installed !== undefined && machine.trouble !== "falls back") machine.runs = machine.installed;
    delete machine.installed;
    machine.boot += 1;
    Object.assign(this.kubernetes.get(machine.name), {
      ready: true,
      bootId: bootIdOf(machine.name, machine.boot),
    });
    this.kubernetes.pod(machine.name, `pod-of-${machine.name}`);
  }
}

function imageOf({ version, schematic }: Image): string {
  return `factory.talos.dev/metal-installer/${schematic}:${version}@sha256:${"0".repeat(64)}`;
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
    const { schematic } = this.#answer().runs;
    return { installed: [{ name: "iscsi-tools", version: "v0.2.0" }], schematicId: schematic };
  }
  async kubernetesNode(): Promise<string> {
    return this.#answer().name;
  }
  async machineConfiguration(): Promise<undefined> {
    this.#answer();
  }
  async apiServer(): Promise<undefined> {
    this.#answer();
  }
  async inMaintenance(): Promise<boolean> {
    return false;
  }
  async hasFile(): Promise<boolean> {
    this.#answer();
    return true;
  }
  async readText(): Promise<undefined> {
    this.#answer();
  }
  async etcdMembers() {
    this.#answer();
    const members = this.#fleet.machines.filter(({ role }) => role === "controlplane");
    return members.map(({ name, address }) => ({
      id: name,
      hostname: name,
      addresses: [address],
      learner: false,
    }));
  }
  async etcdStatus() {
    const { name, runs } = this.#answer();
    const version = etcdOf(runs.version) ?? "";
    const storageVersion = version.replace(/\d+$/, "0");
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
    throw new Error("a rollout resets nothing");
  }
  async applyConfiguration(): Promise<never> {
    throw new Error("a rollout configures nothing");
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

  /** Every call takes the machine a step further on its way through a boot. */
  #answer(): Machine {
    if (this.#machine.away > 0) {
      this.#machine.away -= 1;
      if (this.#machine.away === 0) this.#fleet.up(this.#machine);
      throw this.#error("unreachable", "connection refused");
    }
    return this.#machine;
  }

  #install(image: string): boolean {
    const { schematicId: schematic, version } = parseInstallerImage(image);
    if (schematic === undefined || version === undefined)
      throw new Error(`not the image of a factory: ${image}`);
    this.#fleet.log.push(`install ${this.#machine.name}`);
    this.#machine.installs += 1;
    if (this.#machine.trouble === "installer fails") return false;
    this.#machine.installed = { schematic, version };
    return true;
  }

  #registry(): void {
    if (this.#machine.trouble === "pull fails") throw this.#error("notFound", "no such image");
  }

  #only(api: "machine" | "lifecycle"): void {
    const { runs } = this.#answer();
    if (upgradeApi(runs.version) !== api) throw this.#error("unimplemented", "unknown method");
  }

  #error(kind: TalosErrorKind, detail: string): TalosError {
    return new TalosError(kind, this.#machine.address, "a call", detail);
  }
}
