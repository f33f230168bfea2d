import { parse } from "yaml";
import { TalosError } from "./errors.ts";
import { loadTalosApi } from "./load.ts";
import type { CallOptions } from "./talosClient.ts";
import type { Transport } from "./transport.ts";

/** A resource of Talos's own state: its ID and its spec. */
export interface CosiResource {
  id: string;
  /** Last update, in milliseconds since 1970; undefined if the server doesn't report it. */
  updatedMs: number | undefined;
  spec: Record<string, unknown>;
}

/** Reads one resource; undefined if there is none. */
export async function getResource(
  transport: Transport,
  namespace: string,
  type: string,
  id: string,
  options?: CallOptions,
): Promise<CosiResource | undefined> {
  try {
    const response = await transport.unary(loadTalosApi().state, "Get", { namespace, type, id }, options);
    return cosiResource(response["resource"]);
  } catch (error) {
    if (error instanceof TalosError && isAbsent(error)) return undefined;
    throw error;
  }
}

/** The raw YAML of one resource's spec; undefined if there is none. For specs that are not mappings. */
export async function getSpecText(
  transport: Transport,
  namespace: string,
  type: string,
  id: string,
  options?: CallOptions,
): Promise<string | undefined> {
  try {
    const response = await transport.unary(loadTalosApi().state, "Get", { namespace, type, id }, options);
    const resource = response["resource"] as WireResource | null | undefined;
    return resource?.spec?.yamlSpec;
  } catch (error) {
    if (error instanceof TalosError && isAbsent(error)) return undefined;
    throw error;
  }
}

/** Lists the resources of a type; empty if this Talos release doesn't have the type. */
export async function listResources(
  transport: Transport,
  namespace: string,
  type: string,
  options?: CallOptions,
): Promise<CosiResource[]> {
  return list(transport, namespace, type, cosiResource, options);
}

/** Specs that are lists, ordered by resource ID. */
export async function listLists(
  transport: Transport,
  namespace: string,
  type: string,
  options?: CallOptions,
): Promise<unknown[][]> {
  const found = await list(
    transport,
    namespace,
    type,
    (wire) => {
      const resource = wire as WireResource | null | undefined;
      const spec: unknown = parse(resource?.spec?.yamlSpec ?? "");
      return Array.isArray(spec) ? { id: resource?.metadata?.id ?? "", spec: spec as unknown[] } : undefined;
    },
    options,
  );
  return found.sort((a, b) => (a.id < b.id ? -1 : 1)).map(({ spec }) => spec);
}

async function list<T>(
  transport: Transport,
  namespace: string,
  type: string,
  read: (wire: unknown) => T | undefined,
  options?: CallOptions,
): Promise<T[]> {
  const resources: T[] = [];
  try {
    for await (const response of transport.stream(
      loadTalosApi().state,
      "List",
      { namespace, type },
      options,
    )) {
      const resource = read(response["resource"]);
      if (resource !== undefined) resources.push(resource);
    }
  } catch (error) {
    if (error instanceof TalosError && isAbsent(error)) return [];
    throw error;
  }
  return resources;
}

// Talos returns PermissionDenied, not NotFound, for a type it doesn't have (siderolabs/talos v1.13 internal/app/resources/access.go).
function isAbsent(error: TalosError): boolean {
  return error.kind === "notFound" || (error.kind === "denied" && error.detail.includes("is not supported"));
}

interface WireResource {
  metadata?: { id?: string; updated?: { seconds?: string | number } | null };
  spec?: { yamlSpec?: string };
}

// Get and List include the YAML form of every spec (cosi-project/runtime pkg/state/protobuf/server), so a client needs no message per resource type.
function cosiResource(wire: unknown): CosiResource | undefined {
  const resource = wire as WireResource | null | undefined;
  if (resource === null || resource === undefined) return undefined;
  const spec: unknown = parse(resource.spec?.yamlSpec ?? "");
  return {
    id: resource.metadata?.id ?? "",
    updatedMs: milliseconds(resource.metadata?.updated?.seconds),
    spec: typeof spec === "object" && spec !== null ? (spec as Record<string, unknown>) : {},
  };
}

function milliseconds(seconds: string | number | undefined): number | undefined {
  const value = Number(seconds ?? 0);
  return value > 0 ? value * 1000 : undefined;
}
