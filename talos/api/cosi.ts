import { parse } from "yaml";
import { TalosError } from "./errors.ts";
import { loadTalosApi } from "./load.ts";
import type { CallOptions } from "./talosClient.ts";
import type { Transport } from "./transport.ts";

/** A resource of Talos's own state: its id and its spec. */
export interface CosiResource {
  id: string;
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

/** Lists the resources of a type; none where this Talos release does not know the type. */
export async function listResources(
  transport: Transport,
  namespace: string,
  type: string,
  options?: CallOptions,
): Promise<CosiResource[]> {
  const resources: CosiResource[] = [];
  try {
    for await (const response of transport.stream(
      loadTalosApi().state,
      "List",
      { namespace, type },
      options,
    )) {
      const resource = cosiResource(response["resource"]);
      if (resource !== undefined) resources.push(resource);
    }
  } catch (error) {
    if (error instanceof TalosError && isAbsent(error)) return [];
    throw error;
  }
  return resources;
}

// Talos answers PermissionDenied, not NotFound, for a type that it does not have (siderolabs/talos v1.13
// internal/app/resources/access.go).
function isAbsent(error: TalosError): boolean {
  return error.kind === "notFound" || (error.kind === "denied" && error.detail.includes("is not supported"));
}

interface WireResource {
  metadata?: { id?: string };
  spec?: { yamlSpec?: string };
}

// Get and List fill in the YAML form of every spec (cosi-project/runtime pkg/state/protobuf/server), so that a client
// needs no message per resource type.
function cosiResource(wire: unknown): CosiResource | undefined {
  const resource = wire as WireResource | null | undefined;
  if (resource === null || resource === undefined) return undefined;
  const spec: unknown = parse(resource.spec?.yamlSpec ?? "");
  return {
    id: resource.metadata?.id ?? "",
    spec: typeof spec === "object" && spec !== null ? (spec as Record<string, unknown>) : {},
  };
}
