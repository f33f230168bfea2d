import { status } from "@grpc/grpc-js";
import { stringify } from "yaml";
import { CallFailure, notAuthorized } from "../machine/failure.ts";
import type { CallContext } from "./handlers.ts";
import { encodeSpec } from "./labApi.ts";
import type { Machine } from "../machine/machine.ts";
import type { ServedMachine } from "./apid.ts";
import type { ResourceType } from "./resourceType.ts";
import { namespaces, resourceTypes } from "./resourceTypes.ts";
import { admin } from "./roles.ts";

interface LabelTerm {
  key: string;
  op: string;
  value: string[];
  invert: boolean;
}

interface Query {
  labelQuery: { terms: LabelTerm[] }[];
  idQuery: { regexp: string } | null;
}

interface Kind {
  namespace: string;
  type: string;
}

interface Resource {
  metadata: { id: string; version: string; annotations: Record<string, string> };
  spec: { protoSpec: Buffer; yamlSpec: string };
}

const timestamp = (at: number): object => ({
  seconds: String(Math.floor(at / 1000)),
  nanos: (at % 1000) * 1_000_000,
});

/** The resources of one node, each with a version that counts its changes since boot. */
class ResourceView {
  readonly #node: Machine;
  readonly #seen = new Map<string, { version: number; yaml: string; created: number; updated: number }>();
  #bootId = "";

  constructor(node: Machine) {
    this.#node = node;
  }

  /** @throws CallFailure as Talos's access policy does */
  resolve({ namespace, type }: Kind, { roles }: CallContext): ResourceType {
    const found = resourceTypes(this.#node).find((known) => known.type.toLowerCase() === type.toLowerCase());
    if (found === undefined) {
      throw new CallFailure(status.PERMISSION_DENIED, `resource type "${type}" is not supported`);
    }
    if (found.sensitive === true && !roles.has(admin)) throw notAuthorized();
    if (!namespaces(this.#node).has(namespace)) {
      throw new CallFailure(status.PERMISSION_DENIED, `namespace "${namespace}" is not supported`);
    }
    return found;
  }

  list(type: ResourceType, namespace: string): Resource[] {
    if (namespace !== type.namespace) return [];
    const bootId = this.#node.boot?.id ?? "";
    if (bootId !== this.#bootId) {
      this.#bootId = bootId;
      this.#seen.clear();
    }
    return type.contents(this.#node).map(({ id, spec, message, annotations = {}, version, updatedAt }) => {
      const yaml = stringify(spec);
      const { version: seen, created, updated } = this.#version(`${type.type}/${id}`, yaml);
      return {
        metadata: {
          namespace,
          type: type.type,
          id,
          version: String(version ?? seen),
          owner: "",
          phase: "running",
          created: timestamp(created),
          updated: timestamp(updatedAt?.getTime() ?? updated),
          finalizers: [],
          annotations,
          labels: {},
        },
        spec: {
          protoSpec: type.codec === undefined ? Buffer.alloc(0) : encodeSpec(type.codec, message ?? {}),
          yamlSpec: yaml,
        },
      };
    });
  }

  #version(key: string, yaml: string): { version: number; created: number; updated: number } {
    const before = this.#seen.get(key);
    if (before?.yaml === yaml) return before;
    const now = Date.now();
    const next = { version: (before?.version ?? 0) + 1, yaml, created: before?.created ?? now, updated: now };
    this.#seen.set(key, next);
    return next;
  }
}

/** Reads and watches resources. */
export function registerStateService(node: ServedMachine): void {
  const view = new ResourceView(node);
  const { handlers } = node;

  handlers.unary<Kind & { id: string }>("/cosi.resource.State/Get", (request, context) => {
    const type = view.resolve(request, context);
    const resource = view.list(type, request.namespace).find(({ metadata }) => metadata.id === request.id);
    if (resource === undefined) {
      const name = `${request.type}(${request.namespace}/${request.id}@undefined)`;
      throw new CallFailure(status.NOT_FOUND, `resource ${name} doesn't exist`);
    }
    return { resource };
  });

  handlers.stream<Kind & { options: Query | null }>(
    "/cosi.resource.State/List",
    async (request, send, context) => {
      const type = view.resolve(request, context);
      for (const resource of view.list(type, request.namespace)) {
        if (matches(resource, request.options)) send({ resource });
      }
    },
  );

  handlers.stream<WatchRequest>("/cosi.resource.State/Watch", async (request, send, context) => {
    const type = view.resolve(request, context);
    const { signal } = context;
    const single = request._id !== undefined;
    const wanted = (resource: Resource): boolean =>
      single ? resource.metadata.id === request.id : matches(resource, request.options);
    const now = (): Map<string, Resource> =>
      new Map(
        view
          .list(type, request.namespace)
          .filter(wanted)
          .map((resource) => [resource.metadata.id, resource]),
      );
    const emit = (events: object[]): void => {
      if (request.options?.aggregated === true) send({ event: events });
      else for (const event of events) send({ event: [event] });
    };
    // Tells the caller that the watch is established.
    if (request.apiVersion >= 1) send({ event: [] });
    let before = now();
    emit(initialEvents(request, type, before, single));
    const check = (): void => {
      if (node.boot === undefined) return;
      const after = now();
      const events = differences(before, after);
      before = after;
      if (events.length > 0) emit(events);
    };
    const unsubscribe = node.changes.subscribe(check);
    await new Promise<void>((resolve) => {
      if (signal.aborted) resolve();
      signal.addEventListener("abort", () => resolve(), { once: true });
    });
    unsubscribe();
  });
}

interface WatchRequest extends Kind {
  _id?: "id";
  id?: string;
  apiVersion: number;
  options: (Query & { bootstrapContents: boolean; bootstrapBookmark: boolean; aggregated: boolean }) | null;
}

function initialEvents(
  request: WatchRequest,
  type: ResourceType,
  present: Map<string, Resource>,
  single: boolean,
): object[] {
  const created = [...present.values()].map((resource) => ({ eventType: "CREATED", resource }));
  if (single) {
    const missing = {
      metadata: {
        namespace: request.namespace,
        type: type.type,
        id: request.id,
        version: "undefined",
        phase: "running",
      },
      spec: { yamlSpec: "{}\n" },
    };
    return created.length > 0 ? created : [{ eventType: "DESTROYED", resource: missing }];
  }
  return request.options?.bootstrapContents === true ? [...created, { eventType: "BOOTSTRAPPED" }] : [];
}

function differences(before: Map<string, Resource>, after: Map<string, Resource>): object[] {
  const events: object[] = [];
  for (const [id, resource] of after) {
    const old = before.get(id);
    if (old === undefined) events.push({ eventType: "CREATED", resource });
    else if (old.spec.yamlSpec !== resource.spec.yamlSpec)
      events.push({ eventType: "UPDATED", resource, old });
  }
  for (const [id, resource] of before) {
    if (!after.has(id)) events.push({ eventType: "DESTROYED", resource });
  }
  return events;
}

/** The resources here carry no labels, so a query that requires one finds nothing. */
function matches({ metadata }: Resource, query: Query | null): boolean {
  if (query === null) return true;
  if (query.idQuery !== null && !new RegExp(query.idQuery.regexp).test(metadata.id)) return false;
  if (query.labelQuery.length === 0) return true;
  return query.labelQuery.some(({ terms }) =>
    terms.every(({ op, invert }) => (op === "NOT_EXISTS") !== invert),
  );
}
