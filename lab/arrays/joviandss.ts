import type { IncomingMessage } from "node:http";
import { startArrayServer } from "./array.ts";
import type { JsonAnswer, StorageArray, ArrayContents } from "./array.ts";
import { Disks } from "./disks.ts";

/** The REST API's user, and the pool. */
export interface JovianDssArrayOptions {
  folder: string;
  user: string;
  password: string;
  pool: string;
}

interface Volume {
  name: string;
  bytes: number;
  /** Of a clone: `Pool-0/vp_a@sp_b`. */
  origin?: string;
}

interface Target {
  luns: string[];
}

interface SnapshotOf {
  volume: string;
  name: string;
  seconds: number;
}

/**
 * The REST API of a JovianDSS as open-e/joviandss-kubernetescsi v1.1.0 uses it: paths and bodies of pkg/rest/storageapi.go, targets.go, clones.go and
 * entrielisters.go, status codes of pkg/rest/payload-def.go, and the error messages that pkg/rest/errors.go recognizes.
 */
export class JovianDssArray implements StorageArray {
  readonly #options: JovianDssArrayOptions;
  readonly #disks: Disks;
  readonly #volumes = new Map<string, Volume>();
  readonly #targets = new Map<string, Target>();
  readonly #snapshots: SnapshotOf[] = [];
  #server: { port: number; stop: () => Promise<void> } | undefined;

  private constructor(options: JovianDssArrayOptions) {
    this.#options = options;
    this.#disks = new Disks(options.folder);
  }

  static async start(options: JovianDssArrayOptions): Promise<JovianDssArray> {
    const array = new JovianDssArray(options);
    array.#server = await startArrayServer((request, url, body) => array.#answer(request, url, body));
    return array;
  }

  get port(): number {
    return this.#server?.port ?? 0;
  }

  contents(): ArrayContents {
    return {
      volumes: [...this.#volumes.keys()],
      snapshots: this.#snapshots.map(({ volume, name }) => `${volume}@${name}`),
      targets: [...this.#targets.keys()],
    };
  }

  async stop(): Promise<void> {
    await this.#server?.stop();
  }

  #answer(request: IncomingMessage, url: URL, text: string): JsonAnswer {
    const { user, password, pool } = this.#options;
    const wanted = `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`;
    if (request.headers.authorization !== wanted) return failureAnswer(401, "Unauthorized", {});
    const [, api, version, pools, name, ...path] = url.pathname.split("/").map(decodeURIComponent);
    if (`${api}/${version}/${pools}` !== "api/v3/pools")
      return failureAnswer(404, `${url.pathname} not found`, {});
    if (name !== pool) return notFoundAnswer(name ?? "");
    const body = (text === "" ? {} : JSON.parse(text)) as Record<string, unknown>;
    const page = Number(url.searchParams.get("page") ?? 0);
    const [kind, ...rest] = path;
    if (kind === undefined)
      return dataAnswer({ name: pool, available: String(2 ** 40), size: String(2 ** 41) });
    if (kind === "volumes") return this.#volumesAnswer(request.method ?? "", rest, body, page);
    if (kind === "san") return this.#targetsAnswer(request.method ?? "", rest.slice(2), body);
    return failureAnswer(404, `${url.pathname} not found`, {});
  }

  #volumesAnswer(
    method: string,
    [id, part, snapshot, clones]: string[],
    body: Record<string, unknown>,
    page: number,
  ): JsonAnswer {
    if (id === undefined) {
      return method === "POST" ? this.#create(String(body["name"]), Number(body["size"])) : this.#list(page);
    }
    if (id === "snapshots") return this.#listSnapshots(page);
    if (!this.#volumes.has(id)) return notFoundAnswer(`${this.#options.pool}/${id}`);
    if (part === undefined) return method === "DELETE" ? this.#delete(id) : dataAnswer(this.#shown(id));
    if (part === "clone") return this.#clone(id, String(body["snapshot"]), String(body["name"]));
    if (snapshot === undefined) return this.#take(id, String(body["snapshot_name"]));
    if (clones === "clones") return dataAnswer(this.#clonesOf(id, snapshot).map((name) => ({ name })));
    return method === "DELETE" ? this.#deleteSnapshot(id, snapshot) : this.#showSnapshot(id, snapshot);
  }

  #shown(id: string): object {
    const { bytes, origin } = this.#volumes.get(id) as Volume;
    const name = `${this.#options.pool}/${id}`;
    return { name: id, full_name: name, volsize: String(bytes), ...(origin === undefined ? {} : { origin }) };
  }

  // The driver requests page after page until one is empty (pkg/driver/driver.go, getResourcesList).
  #list(page: number): JsonAnswer {
    const all = page === 0 ? [...this.#volumes.keys()].sort() : [];
    return dataAnswer({ results: this.#volumes.size, entries: all.map((id) => this.#shown(id)) });
  }

  #create(name: string, bytes: number): JsonAnswer {
    if (this.#volumes.has(name)) return existsAnswer(`${this.#options.pool}/${name}`);
    const free = 2 ** 40;
    if (bytes > free) {
      const pool = this.#options.pool;
      return failureAnswer(
        500,
        `New zvol size(${bytes}) exceeds available space on pool ${pool}(${free}).`,
        {},
      );
    }
    this.#disks.create(name, bytes);
    this.#volumes.set(name, { name, bytes });
    return { status: 201, body: { data: this.#shown(name), error: null } };
  }

  #delete(id: string): JsonAnswer {
    if (this.#snapshots.some(({ volume }) => volume === id)) {
      return failureAnswer(500, "In order to delete a zvol, you must delete all of its clones first.", {
        class: "opene.storage.zfs.ZfsOeError",
      });
    }
    this.#disks.delete(id);
    this.#volumes.delete(id);
    return { status: 204 };
  }

  #take(volume: string, name: string): JsonAnswer {
    if (this.#find(volume, name) !== undefined)
      return existsAnswer(`${this.#options.pool}/${volume}@${name}`);
    this.#disks.copy(volume, `${volume}@${name}`);
    this.#snapshots.push({ volume, name, seconds: Math.floor(Date.now() / 1000) });
    return { status: 200, body: { data: null, error: null } };
  }

  #find(volume: string, name: string): SnapshotOf | undefined {
    return this.#snapshots.find((one) => one.volume === volume && one.name === name);
  }

  #clonesOf(volume: string, snapshot: string): string[] {
    const origin = `${this.#options.pool}/${volume}@${snapshot}`;
    return [...this.#volumes.values()].filter((one) => one.origin === origin).map(({ name }) => name);
  }

  #clone(volume: string, snapshot: string, name: string): JsonAnswer {
    const { pool } = this.#options;
    const from = `${volume}@${snapshot}`;
    if (this.#find(volume, snapshot) === undefined) {
      return failureAnswer(500, `cannot open '${pool}/${from}': dataset does not exist`, { errno: 0 });
    }
    if (this.#volumes.has(name)) return existsAnswer(`${pool}/${name}`);
    this.#disks.copy(from, name);
    this.#volumes.set(name, { name, bytes: this.#disks.size(name), origin: `${pool}/${from}` });
    return { status: 200, body: { data: this.#shown(name), error: null } };
  }

  #showSnapshot(volume: string, name: string): JsonAnswer {
    const found = this.#find(volume, name);
    const full = `${this.#options.pool}/${volume}@${name}`;
    if (found === undefined)
      return failureAnswer(500, `cannot open '${full}': dataset does not exist`, { errno: 0 });
    const creation = new Date(found.seconds * 1000).toISOString().slice(0, 19).replace("T", " ");
    const clones = this.#clonesOf(volume, name).map((clone) => `${this.#options.pool}/${clone}`);
    const volsize = String(this.#volumes.get(volume)?.bytes ?? 0);
    return dataAnswer({ name, creation, volsize, clones: clones.join(",") });
  }

  #deleteSnapshot(volume: string, name: string): JsonAnswer {
    const index = this.#snapshots.findIndex((one) => one.volume === volume && one.name === name);
    const full = `${this.#options.pool}/${volume}@${name}`;
    if (index < 0) return failureAnswer(500, `cannot open '${full}': dataset does not exist`, { errno: 0 });
    const clones = this.#clonesOf(volume, name);
    if (clones.length > 0) {
      const list = clones.map((clone) => `${this.#options.pool}/${clone}`).join("\n");
      const message = `cannot destroy '${full}': snapshot has dependent clones\nuse '-R' to destroy the following datasets:\n${list}`;
      return failureAnswer(500, message, { errno: 1000, class: "zfslib.wrap.zfs.ZfsCmdError" });
    }
    this.#disks.delete(`${volume}@${name}`);
    this.#snapshots.splice(index, 1);
    return { status: 204 };
  }

  #listSnapshots(page: number): JsonAnswer {
    const entries = (page === 0 ? this.#snapshots : []).map(({ volume, name, seconds }) => ({
      volume,
      name,
      properties: { creation: String(seconds) },
    }));
    return dataAnswer({ results: this.#snapshots.length, entries });
  }

  #targetsAnswer(method: string, [iqn, part, lun]: string[], body: Record<string, unknown>): JsonAnswer {
    if (iqn === undefined) {
      const name = String(body["name"]);
      if (this.#targets.has(name)) {
        return failureAnswer(500, `Target with name ${name} is already present on`, {
          class: "opene.san.target.base.iscsi.target.TargetNameConflictError",
        });
      }
      this.#targets.set(name, { luns: [] });
      return { status: 201, body: { data: { name, active: true }, error: null } };
    }
    const target = this.#targets.get(iqn);
    if (target === undefined) {
      return failureAnswer(404, `Target ${iqn} not exists.`, { class: "opene.exceptions.ItemNotFoundError" });
    }
    if (part === "luns") return this.#lun(method, iqn, target, lun, body);
    if (method !== "DELETE") return dataAnswer({ name: iqn, active: true });
    this.#targets.delete(iqn);
    this.#disks.withdraw(iqn);
    return { status: 204 };
  }

  #lun(
    method: string,
    iqn: string,
    target: Target,
    lun: string | undefined,
    body: Record<string, unknown>,
  ): JsonAnswer {
    if (method === "DELETE") {
      if (lun === undefined || !target.luns.includes(lun)) {
        return failureAnswer(404, `LUN ${lun} not exists.`, { class: "opene.exceptions.ItemNotFoundError" });
      }
      target.luns = target.luns.filter((one) => one !== lun);
      this.#disks.withdraw(iqn);
      return { status: 204 };
    }
    const name = String(body["name"]);
    if (!this.#volumes.has(name)) {
      return failureAnswer(404, `Volume ${name} not found in pool ${this.#options.pool}.`, {
        class: "opene.exceptions.ItemNotFoundError",
      });
    }
    if (target.luns.length > 0) {
      const conflict = { class: "opene.exceptions.ItemConflictError" };
      return failureAnswer(500, `LUN 0 is already used in ${iqn}.`, conflict);
    }
    target.luns.push(name);
    this.#disks.export({ iqn, lun: 0, disk: name });
    return { status: 201, body: { data: { name, lun: 0 }, error: null } };
  }
}

const dataAnswer = (content: unknown): JsonAnswer => ({ status: 200, body: { data: content, error: null } });

const failureAnswer = (
  status: number,
  message: string,
  more: { errno?: number; class?: string },
): JsonAnswer => ({
  status,
  body: { data: null, error: { message, ...more } },
});

const notFoundAnswer = (name: string): JsonAnswer =>
  failureAnswer(500, `Zfs resource: ${name} not found in this collection.`, { errno: 1 });

const existsAnswer = (name: string): JsonAnswer =>
  failureAnswer(500, `Resource ${name} already exists.`, { errno: 5 });
