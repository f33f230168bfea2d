import { randomUUID } from "node:crypto";
import type { IncomingMessage } from "node:http";
import { startArrayServer } from "./array.ts";
import type { JsonAnswer, StorageArray, ArrayContents, Portal } from "./array.ts";
import { Disks } from "./disks.ts";

export interface DsmArrayOptions {
  folder: string;
  user: string;
  password: string;
  /** How many targets the model allows; entry-level models allow 10. */
  maxTargets?: number;
  /** Default: disks for the simulated nodes' iscsiadm, in the folder. */
  disks?: Disks;
  portal?: Portal;
}

interface Lun {
  name: string;
  uuid: string;
  bytes: number;
  location: string;
  description: string;
}

interface Target {
  id: number;
  name: string;
  iqn: string;
  maxSessions: number;
  luns: string[];
}

interface Snapshot {
  uuid: string;
  name: string;
  lun: string;
  bytes: number;
  seconds: number;
  description: string;
}

/** The DSM error codes that SynologyOpenSource/synology-csi v1.2.1 knows (pkg/dsm/webapi/iscsi.go, errCodeMapping). */
const errorCodes = {
  noSpace: 18990002,
  noLun: 18990531,
  noSnapshot: 18990532,
  lunName: 18990538,
  tooManyTargets: 18990542,
  targetName: 18990744,
  // Codes it doesn't know.
  noTarget: 18990710,
  noSession: 119,
  credentials: 400,
  noVolume: 117,
  noMethod: 103,
};

class DsmError extends Error {
  readonly code: number;

  constructor(value: number) {
    super(`DSM error ${value}`);
    this.code = value;
  }
}

type Parameters = Readonly<Record<string, string>>;

const location = "/volume1";
const free = 2 ** 40;

/** The web API of a DSM with one btrfs volume, as synology-csi v1.2.1 uses it (pkg/dsm/webapi). Shares are missing: the stand-in serves iSCSI only. */
export class DsmArray implements StorageArray {
  readonly #options: DsmArrayOptions;
  readonly #disks: Disks;
  readonly #sessions = new Set<string>();
  readonly #luns = new Map<string, Lun>();
  readonly #targets = new Map<number, Target>();
  readonly #snapshots = new Map<string, Snapshot>();
  #lastTarget = 0;
  #server: { port: number; stop: () => Promise<void> } | undefined;

  private constructor(options: DsmArrayOptions) {
    this.#options = options;
    this.#disks = options.disks ?? new Disks(options.folder);
  }

  static async start(options: DsmArrayOptions): Promise<DsmArray> {
    const array = new DsmArray(options);
    array.#server = await startArrayServer((request, url) => array.#answer(request, url), options.portal);
    return array;
  }

  get port(): number {
    return this.#server?.port ?? 0;
  }

  contents(): ArrayContents {
    return {
      volumes: [...this.#luns.values()].map(({ name }) => name),
      snapshots: [...this.#snapshots.values()].map(({ name }) => name),
      targets: [...this.#targets.values()].map(({ iqn }) => iqn),
    };
  }

  async stop(): Promise<void> {
    await this.#server?.stop();
  }

  // DSM answers every call with status 200.
  #answer(request: IncomingMessage, url: URL): JsonAnswer {
    const parameters = Object.fromEntries(
      [...url.searchParams].map(([name, value]) => [name, unquote(value)]),
    );
    try {
      const data = this.#call(request, parameters);
      return { status: 200, body: { success: true, ...(data === undefined ? {} : { data }) } };
    } catch (error) {
      if (!(error instanceof DsmError)) throw error;
      return { status: 200, body: { success: false, error: { code: error.code } } };
    }
  }

  #call(request: IncomingMessage, parameters: Parameters): object | undefined {
    const { api = "", method = "" } = parameters;
    if (api === "SYNO.API.Auth" && method === "login") return this.#login(parameters);
    const session = /(?:^|;\s*)id=([^;]*)/.exec(request.headers.cookie ?? "")?.[1] ?? "";
    if (!this.#sessions.has(session)) throw new DsmError(errorCodes.noSession);
    if (api === "SYNO.API.Auth") {
      this.#sessions.delete(session);
      return undefined;
    }
    const handler = this.#handlers[`${api} ${method}`];
    if (handler === undefined) throw new DsmError(errorCodes.noMethod);
    return handler(parameters);
  }

  #login({ account, passwd }: Parameters): object {
    const { user, password } = this.#options;
    if (account !== user || passwd !== password) throw new DsmError(errorCodes.credentials);
    const sid = randomUUID();
    this.#sessions.add(sid);
    return { sid };
  }

  readonly #handlers: Readonly<Record<string, (parameters: Parameters) => object | undefined>> = {
    "SYNO.Core.System info": () => ({ hostname: "lab", model: "DS-lab", firmware_ver: "DSM 7.2" }),
    "SYNO.Core.Storage.Volume list": () => ({ volumes: [volumeAnswer] }),
    "SYNO.Core.Storage.Volume get": ({ volume_path: path }) => {
      if (path !== location) throw new DsmError(errorCodes.noVolume);
      return { volume: volumeAnswer };
    },
    "SYNO.Core.Share list": () => ({ shares: [] }),
    "SYNO.Core.ISCSI.LUN list": () => ({ luns: [...this.#luns.values()].map(lunAnswer) }),
    "SYNO.Core.ISCSI.LUN get": ({ uuid }) => ({ lun: lunAnswer(this.#lun(uuid)) }),
    "SYNO.Core.ISCSI.LUN create": (given) => {
      const bytes = Number(given["size"]);
      if (bytes > free) throw new DsmError(errorCodes.noSpace);
      return { uuid: this.#newLun(given["name"], bytes, given["description"]) };
    },
    "SYNO.Core.ISCSI.LUN set": ({ uuid, new_size: bytes }) => {
      const lun = this.#lun(uuid);
      lun.bytes = Number(bytes);
      this.#disks.resize(lun.uuid, lun.bytes);
      return {};
    },
    "SYNO.Core.ISCSI.LUN delete": ({ uuid }) => {
      const lun = this.#lun(uuid);
      this.#luns.delete(lun.uuid);
      this.#disks.delete(lun.uuid);
      for (const one of this.#snapshots.values()) if (one.lun === lun.uuid) this.#snapshots.delete(one.uuid);
      for (const target of this.#targets.values())
        target.luns = target.luns.filter((mapped) => mapped !== lun.uuid);
      return {};
    },
    "SYNO.Core.ISCSI.LUN map_target": ({ uuid, target_ids: ids = "[]" }) => {
      const lun = this.#lun(uuid);
      for (const id of JSON.parse(ids) as number[]) {
        const target = this.#target(String(id));
        if (!target.luns.includes(lun.uuid)) target.luns.push(lun.uuid);
        this.#disks.export({ iqn: target.iqn, lun: target.luns.length, disk: lun.uuid });
      }
      return {};
    },
    "SYNO.Core.ISCSI.LUN clone": ({ src_lun_uuid: from, dst_lun_name: name }) => {
      const source = this.#lun(from);
      return { dst_lun_uuid: this.#newLun(name, source.bytes, "", source.uuid) };
    },
    "SYNO.Core.ISCSI.LUN take_snapshot": ({ src_lun_uuid: from, snapshot_name: name = "", description }) => {
      const lun = this.#lun(from);
      const uuid = randomUUID();
      const seconds = Math.floor(Date.now() / 1000);
      this.#disks.copy(lun.uuid, uuid);
      const more = { lun: lun.uuid, bytes: lun.bytes, seconds, description: description ?? "" };
      this.#snapshots.set(uuid, { uuid, name, ...more });
      return { snapshot_uuid: uuid };
    },
    "SYNO.Core.ISCSI.LUN list_snapshot": ({ src_lun_uuid: from }) => ({
      snapshots: [...this.#snapshots.values()].filter(({ lun }) => lun === from).map(snapshotAnswer),
    }),
    "SYNO.Core.ISCSI.LUN get_snapshot": ({ snapshot_uuid: uuid }) => ({
      snapshot: snapshotAnswer(this.#snapshot(uuid)),
    }),
    "SYNO.Core.ISCSI.LUN delete_snapshot": ({ snapshot_uuid: uuid }) => {
      const found = this.#snapshot(uuid);
      this.#snapshots.delete(found.uuid);
      this.#disks.delete(found.uuid);
      return {};
    },
    "SYNO.Core.ISCSI.LUN clone_snapshot": ({ snapshot_uuid: uuid, cloned_lun_name: name }) => {
      const found = this.#snapshot(uuid);
      return { cloned_lun_uuid: this.#newLun(name, found.bytes, "", found.uuid) };
    },
    "SYNO.Core.ISCSI.Target list": () => ({ targets: [...this.#targets.values()].map(targetAnswer) }),
    "SYNO.Core.ISCSI.Target get": ({ target_id: id }) => ({ target: targetAnswer(this.#target(id)) }),
    "SYNO.Core.ISCSI.Target create": ({ name = "", iqn = "" }) => {
      if ([...this.#targets.values()].some((one) => one.name === name))
        throw new DsmError(errorCodes.targetName);
      if (this.#targets.size >= (this.#options.maxTargets ?? 128))
        throw new DsmError(errorCodes.tooManyTargets);
      const id = ++this.#lastTarget;
      this.#targets.set(id, { id, name, iqn, maxSessions: 1, luns: [] });
      return { target_id: id };
    },
    "SYNO.Core.ISCSI.Target set": ({ target_id: id, max_sessions: sessions }) => {
      this.#target(id).maxSessions = Number(sessions);
      return {};
    },
    "SYNO.Core.ISCSI.Target delete": ({ target_id: id }) => {
      const target = this.#target(id);
      this.#targets.delete(target.id);
      this.#disks.withdraw(target.iqn);
      return {};
    },
  };

  #newLun(name = "", bytes: number, description = "", from?: string): string {
    if ([...this.#luns.values()].some((one) => one.name === name)) throw new DsmError(errorCodes.lunName);
    const uuid = randomUUID();
    if (from === undefined) this.#disks.create(uuid, bytes);
    else this.#disks.copy(from, uuid);
    this.#luns.set(uuid, { name, uuid, bytes, location, description });
    return uuid;
  }

  // `get` accepts a name in place of a UUID or an ID, and the driver relies on it (pkg/dsm/service/dsm.go, createVolumeByDsm).
  #lun(key = ""): Lun {
    const found = this.#luns.get(key) ?? [...this.#luns.values()].find(({ name }) => name === key);
    if (found === undefined) throw new DsmError(errorCodes.noLun);
    return found;
  }

  #target(key = ""): Target {
    const found =
      this.#targets.get(Number(key)) ?? [...this.#targets.values()].find(({ name }) => name === key);
    if (found === undefined) throw new DsmError(errorCodes.noTarget);
    return found;
  }

  #snapshot(key = ""): Snapshot {
    const found = this.#snapshots.get(key);
    if (found === undefined) throw new DsmError(errorCodes.noSnapshot);
    return found;
  }
}

const volumeAnswer = {
  display_name: "Volume 1",
  volume_path: location,
  status: "normal",
  fs_type: "btrfs",
  size_total_byte: String(2 * free),
  size_free_byte: String(free),
  container: "internal",
  location: "internal",
};

const lunAnswer = ({ name, uuid, bytes, location: path }: Lun) => ({
  name,
  uuid,
  type: 263,
  location: path,
  size: bytes,
  allocated_size: 0,
  status: "normal",
  is_action_locked: false,
  dev_attribs: [],
});

const targetAnswer = ({ id, name, iqn, maxSessions, luns }: Target) => ({
  target_id: id,
  name,
  iqn,
  status: "online",
  max_sessions: maxSessions,
  mapped_luns: luns.map((uuid, index) => ({ lun_uuid: uuid, mapping_index: index + 1 })),
  connected_sessions: [],
});

const snapshotAnswer = ({ uuid, name, lun, bytes, seconds }: Snapshot) => ({
  uuid,
  name,
  parent_uuid: lun,
  status: "Healthy",
  total_size: bytes,
  create_time: seconds,
  root_path: location,
});

// Texts arrive as JSON strings, or bare.
function unquote(value: string): string {
  return /^".*"$/s.test(value) ? (JSON.parse(value) as string) : value;
}
