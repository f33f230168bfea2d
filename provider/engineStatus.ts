import { DependencyResource } from "@pulumi/pulumi/resource.js";
import * as log from "@pulumi/pulumi/log/index.js";
import type { StatusSink } from "./progress.ts";

/** Writes status lines to the engine's log: shown next to the resource, and in the event stream. */
export function engineStatus(urn: string): StatusSink {
  const resource = new DependencyResource(urn);
  return {
    status: (text) => void log.info(text, resource, 0, true),
    info: (text) => void log.info(text, resource),
    warn: (text) => void log.warn(text, resource),
  };
}
