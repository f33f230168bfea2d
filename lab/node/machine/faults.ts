/** One thing that can go wrong on a simulated node. */
export interface FaultDefinition {
  readonly id: string;
  /** What the node does while the fault is set. */
  readonly does: string;
  /** What the fault's optional value means, and what it is if none is given. */
  readonly value?: { readonly means: string; readonly default: number };
}

/** Everything that can go wrong on a simulated node. */
export const faultCatalogue = [
  {
    id: "pull-fails",
    does: "the registry answers with an error: no image can be pulled",
  },
  { id: "pull-not-found", does: "the registry does not know the image" },
  {
    id: "pull-hangs",
    does: "the registry does not answer: a pull waits until the caller gives up",
  },
  { id: "slow-pull", does: "pulling takes many times as long", value: { means: "factor", default: 20 } },
  {
    id: "install-exits-nonzero",
    does: "the installer fails and leaves the disk as it was",
    value: { means: "exit code", default: 3 },
  },
  {
    id: "install-not-written",
    does: "the installer reports success and has written nothing: the next boot is the old image",
  },
  {
    id: "slow-install",
    does: "installing takes many times as long",
    value: { means: "factor", default: 20 },
  },
  {
    id: "stream-breaks",
    does: "the connection breaks in the middle of an installation, which goes on without its caller",
  },
  {
    id: "stream-breaks-late",
    does: "the connection breaks just before the end of an installation, which finishes all the same",
  },
  {
    id: "reboots-during-install",
    does: "the node reboots in the middle of an installation, before anything is written",
  },
  {
    id: "upgrade-locked",
    does: "another installation is said to be in progress: upgrades are refused",
  },
  {
    id: "lifecycle-unimplemented",
    does: "LifecycleService and ImageService are not there, as on Talos 1.12 and older",
  },
  { id: "falls-back", does: "a newly installed image does not boot: the boot loader returns to the old one" },
  {
    id: "falls-back-late",
    does: "a newly installed image boots, runs its services and is then found wanting: the machine reboots into the old one",
  },
  { id: "never-returns", does: "the node goes down to reboot and stays down until the fault is lifted" },
  { id: "reboot-ignored", does: "a reboot is acknowledged and does not happen" },
  { id: "slow-boot", does: "booting takes many times as long", value: { means: "factor", default: 20 } },
  {
    id: "schematic-differs",
    does: "the installed image was built from the empty schematic, whatever was asked for",
  },
  { id: "extension-missing", does: "the running system has none of its extensions" },
  { id: "iscsid-not-running", does: "the service ext-iscsid fails" },
  { id: "iscsiadm-missing", does: "the file /usr/local/sbin/iscsiadm is not there" },
  {
    id: "certificates-refused",
    does: "the API refuses every client certificate, as after a change of the machine CA",
  },
  { id: "permission-denied", does: "the API treats every client as a reader" },
  {
    id: "clock-skewed",
    does: "the node's clock is wrong: its certificate has expired for everybody else, and its time is not in sync",
  },
  {
    id: "half-open",
    does: "connections stay open and nothing comes through them any more, as after a lost network path",
  },
  {
    id: "flaky-api",
    does: "every second call to the API fails as unavailable",
  },
  { id: "configuration-refused", does: "a dry run of a configuration succeeds, and applying it fails" },
  {
    id: "reply-lost",
    does: "calls that change something are carried out, and the connection breaks before the reply",
  },
  { id: "node-down", does: "the node is switched off until the fault is lifted" },
  { id: "not-ready", does: "the machine runs and never reports ready" },
  { id: "api-server-down", does: "kube-apiserver does not get ready after its next restart" },
  { id: "kubelet-does-not-return", does: "a kubelet that restarts does not come back" },
  { id: "kubelet-unhealthy", does: "the kubelet runs and is not healthy" },
  { id: "etcd-member-unhealthy", does: "this etcd member runs and serves nothing" },
  { id: "etcd-learner", does: "this etcd member is a learner: it has no vote" },
  { id: "etcd-alarm-nospace", does: "etcd has raised the alarm NOSPACE for this member" },
  { id: "etcd-alarm-corrupt", does: "etcd has raised the alarm CORRUPT for this member" },
  {
    id: "etcd-member-not-started",
    does: "etcd's member list holds one more member, which was added and has never started",
  },
] as const satisfies readonly FaultDefinition[];

export type FaultId = (typeof faultCatalogue)[number]["id"];

/** A fault that is set, as it shows in a snapshot. */
export interface ActiveFault {
  id: FaultId;
  value?: number;
  /** It goes away by itself after it has struck once. */
  once: boolean;
}

const definitions = new Map<string, FaultDefinition>(faultCatalogue.map((fault) => [fault.id, fault]));

export function isFaultId(id: string): id is FaultId {
  return definitions.has(id);
}

/** The faults of one node. */
export class Faults {
  readonly #active = new Map<FaultId, ActiveFault>();
  readonly #changed: (id: FaultId, isSet: boolean) => void;

  /** @param changed is told of every fault that was set or lifted */
  constructor(changed: (id: FaultId, isSet: boolean) => void) {
    this.#changed = changed;
  }

  /** @throws Error when there is no such fault, with the names of those there are */
  set(id: string, options: { value?: number; once?: boolean } = {}): void {
    if (!isFaultId(id)) {
      throw new Error(`There is no fault "${id}". Known faults: ${[...definitions.keys()].join(", ")}.`);
    }
    this.#active.set(id, {
      id,
      once: options.once ?? false,
      ...(options.value === undefined ? {} : { value: options.value }),
    });
    this.#changed(id, true);
  }

  /** Lifts one fault, or all of them. */
  clear(id?: string): void {
    const ids = id === undefined ? [...this.#active.keys()] : isFaultId(id) ? [id] : [];
    for (const each of ids) {
      if (this.#active.delete(each)) this.#changed(each, false);
    }
  }

  active(): ActiveFault[] {
    return [...this.#active.values()].map((fault) => ({ ...fault }));
  }

  /** Is the fault set? For faults that are a state. */
  has(id: FaultId): boolean {
    return this.#active.has(id);
  }

  /** Does the fault strike now? For faults that are an event: one that was set for once is used up by this. */
  strikes(id: FaultId): boolean {
    const fault = this.#active.get(id);
    if (fault?.once === true) {
      this.#active.delete(id);
    }
    return fault !== undefined;
  }

  /** The fault's value, or its default. Ask before `strikes`. */
  value(id: FaultId): number {
    return this.#active.get(id)?.value ?? definitions.get(id)?.value?.default ?? 1;
  }

  /** By how much something takes longer: the value of a fault that is set, else 1. */
  factor(id: FaultId): number {
    return this.has(id) ? this.value(id) : 1;
  }
}
