import { DependencyResource } from "@pulumi/pulumi/resource.js";
import * as log from "@pulumi/pulumi/log/index.js";
import type { StatusSink } from "./progress.ts";

/** Status lines by the engine's log: beside the resource in its display, and in its events. */
export function engineStatus(urn: string): StatusSink {
  const resource = new DependencyResource(urn);
  return {
    status: (text) => void log.info(text, resource, 0, true),
    info: (text) => void log.info(text, resource),
    warn: (text) => void log.warn(text, resource),
  };
}
