import type { Properties } from "./secrets.ts";

/**
 * An operation that stopped midway. The engine keeps `properties` as the resource's state, marks it as unfinished, and calls `update` in the next deployment
 * (pulumirpc.ErrorResourceInitFailed).
 */
export class UnfinishedError extends Error {
  override readonly name = "UnfinishedError";
  readonly id: string;
  readonly properties: Properties;
  readonly reasons: string[];

  constructor(message: string, id: string, properties: Properties) {
    super(message);
    this.id = id;
    this.properties = properties;
    this.reasons = [message];
  }
}
