/** A fault of a simulated node. */
export interface FaultDefinition {
  readonly id: string;
  /** What the node does while the fault is set. */
  readonly does: string;
  /** What the fault's optional value means, and its default. */
  readonly value?: { readonly means: string; readonly default: number };
}

/** All faults of a simulated node. */
export const faultCatalogue = [
  {
    id: "pull-fails",
    does: "the registry returns an error: no image can be pulled",
  },
  { id: "pull-not-found", does: "the registry does not know the image" },
  {
    id: "pull-hangs",
    does: "the registry does not answer: a pull waits until the caller gives up",
  },
  { id: "slow-pull", does: "pulling takes many times longer", value: { means: "factor", default: 20 } },
  {
    id: "install-exits-nonzero",
    does: "the installer fails and leaves the disk as it was",
    value: { means: "exit code", default: 3 },
  },
  {
    id: "install-not-written",
    does: "the installer reports success but has written nothing: the next boot runs the old image",
  },
  {
    id: "slow-install",
    does: "installing takes many times longer",
    value: { means: "factor", default: 20 },
  },
  {
    id: "stream-breaks",
    does: "the connection breaks in the middle of an installation, which goes on without its caller",
  },
  {
    id: "stream-breaks-late",
    does: "the connection breaks just before the end of an installation, which still finishes",
  },
  {
    id: "reboots-during-install",
    does: "the node reboots in the middle of an installation, before anything is written",
  },
  {
    id: "upgrade-locked",
    does: "the node reports another installation in progress: upgrades are refused",
  },
  {
    id: "lifecycle-unimplemented",
    does: "LifecycleService and ImageService are missing, as on Talos 1.12 and older",
  },
  { id: "falls-back", does: "a newly installed image does not boot: the boot loader returns to the old one" },
  {
    id: "falls-back-late",
    does: "a newly installed image boots and runs its services, but then fails: the machine reboots into the old one",
  },
  { id: "never-returns", does: "the node goes down to reboot and stays down until the fault is lifted" },
  { id: "reboot-ignored", does: "a reboot is acknowledged but does not happen" },
  { id: "slow-boot", does: "booting takes many times longer", value: { means: "factor", default: 20 } },
  {
    id: "schematic-differs",
    does: "the installed image was built from the empty schematic, whatever was requested",
  },
  { id: "extension-missing", does: "the running system has none of its extensions" },
  { id: "iscsid-not-running", does: "the service ext-iscsid fails" },
  { id: "iscsiadm-missing", does: "the file /usr/local/sbin/iscsiadm is missing" },
  {
    id: "certificates-refused",
    does: "the API refuses every client certificate, as after a change of the machine CA",
  },
  { id: "permission-denied", does: "the API treats every client as a reader" },
  {
    id: "clock-skewed",
    does: "the node's clock is wrong: for all others its certificate has expired, and its time is not in sync",
  },
  {
    id: "half-open",
    does: "connections stay open but nothing gets through, as after the loss of a network path",
  },
  {
    id: "slow-answers",
    does: "every call to the API is answered late",
    value: { means: "milliseconds", default: 500 },
  },
  {
    id: "flaky-api",
    does: "every second call to the API fails as unavailable",
  },
  { id: "configuration-refused", does: "a dry run of a configuration succeeds, but applying it fails" },
  {
    id: "reply-lost",
    does: "calls that change something are carried out, but the connection breaks before the reply",
  },
  { id: "node-down", does: "the node is switched off until the fault is lifted" },
  { id: "not-ready", does: "the machine runs but never reports ready" },
  { id: "api-server-down", does: "kube-apiserver does not become ready after its next restart" },
  { id: "kubelet-does-not-return", does: "a kubelet that restarts does not come back" },
  { id: "kubelet-unhealthy", does: "the kubelet runs but is not healthy" },
  { id: "etcd-member-unhealthy", does: "this etcd member runs but does not serve" },
  { id: "etcd-learner", does: "this etcd member is a learner: it has no vote" },
  { id: "etcd-alarm-nospace", does: "etcd has raised the alarm NOSPACE for this member" },
  { id: "etcd-alarm-corrupt", does: "etcd has raised the alarm CORRUPT for this member" },
  {
    id: "etcd-member-not-started",
    does: "etcd's member list holds one more member, which was added and has never started",
  },
] as const satisfies readonly FaultDefinition[];

export type FaultId = (typeof faultCatalogue)[number]["id"];

/** An active fault, as in a snapshot. */
export interface ActiveFault {
  id: FaultId;
  value?: number;
  /** It lifts itself after it has occurred once. */
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

  /** @param changed called for every fault that is set or lifted */
  constructor(changed: (id: FaultId, isSet: boolean) => void) {
    this.#changed = changed;
  }

  /** @throws Error listing the known faults if there is no such fault */
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

  /** Whether the fault is set. For faults that are a state. */
  has(id: FaultId): boolean {
    return this.#active.has(id);
  }

  /** Whether the fault occurs now. For faults that are an event: one set with `once` is lifted by this call. */
  strikes(id: FaultId): boolean {
    const fault = this.#active.get(id);
    if (fault?.once === true) {
      this.#active.delete(id);
    }
    return fault !== undefined;
  }

  /** The fault's value, or its default. Call it before `strikes`. */
  value(id: FaultId): number {
    return this.#active.get(id)?.value ?? definitions.get(id)?.value?.default ?? 1;
  }

  /** How much longer something takes: the value of an active fault, otherwise 1. */
  factor(id: FaultId): number {
    return this.has(id) ? this.value(id) : 1;
  }
}
