import type { TalosCredentials } from "../talos/api/credentials.ts";
import type { CheckFailure } from "./check.ts";
import { hasUnknown, type Properties } from "./secrets.ts";

/** The inputs of a ConfigurationGuard: plain values, every default filled in. */
export interface ConfigurationGuardInputs {
  /** For people: `cp1`. */
  name: string;
  node: string;
  endpoint?: string;
  role: "controlplane" | "worker";
  /** Addresses of all control planes, this node included where it is one. */
  controlPlanes: string[];
  clientConfiguration: TalosCredentials;
  /** The configuration that the node is to get. */
  machineConfiguration: string;
  /** The same, redacted: what previews compare line by line. */
  configuration: string;
  /** The patches in it. */
  patches: string[];
  /** Paths whose loss is accepted. */
  acceptDropped: string[];
  timeoutSeconds: number;
}

/** What `check` adds to the inputs: the lines that a node gains, changes and loses. */
export const changesProperty = "changes";

/** Secret whatever the program says. */
export const guardSecrets = ["clientConfiguration", "machineConfiguration", "patches"] as const;

const text = (value: unknown): boolean => typeof value === "string" && value !== "";
const texts = (value: unknown): boolean =>
  Array.isArray(value) && value.every((item) => typeof item === "string");
const record = (value: unknown): boolean =>
  typeof value === "object" && value !== null && !Array.isArray(value);

const known: Record<string, { fits: (value: unknown) => boolean; what: string; optional?: boolean }> = {
  name: { fits: text, what: "a text" },
  node: { fits: text, what: "the address of the node" },
  endpoint: { fits: text, what: "a text", optional: true },
  role: {
    fits: (value) => value === "controlplane" || value === "worker",
    what: '"controlplane" or "worker"',
  },
  controlPlanes: { fits: texts, what: "a list of addresses" },
  clientConfiguration: { fits: record, what: "the credentials of a talosconfig" },
  machineConfiguration: { fits: text, what: "a machine configuration" },
  configuration: { fits: text, what: "a text" },
  patches: { fits: texts, what: "a list of texts" },
  acceptDropped: { fits: texts, what: "a list of paths", optional: true },
  timeoutSeconds: {
    fits: (value) => typeof value === "number" && value > 0,
    what: "a number of seconds greater than 0",
    optional: true,
  },
  [changesProperty]: { fits: texts, what: "a list of lines", optional: true },
};

/** All that is wrong with the inputs. What only the deployment will know is left for then; no value is shown, since most are secret. */
export function checkGuardInputs(inputs: Properties): CheckFailure[] {
  const failures = Object.entries(known).flatMap(([property, { fits, what, optional }]): CheckFailure[] => {
    const value = inputs[property];
    if (hasUnknown(value) || (value === undefined && optional === true) || fits(value)) return [];
    return [{ property, reason: `[${property}] ${value === undefined ? "is missing" : `must be ${what}`}` }];
  });
  const strange = Object.keys(inputs).filter(
    (property) => !(property in known) && !property.startsWith("__"),
  );
  return [
    ...failures,
    ...strange.map((property) => ({ property, reason: `[${property}] is no input of a ConfigurationGuard` })),
  ];
}

type Defaulted = "acceptDropped" | "timeoutSeconds";

/** Inputs that `checkGuardInputs` has passed, with the defaults. */
export function guardInputs(checked: Properties): ConfigurationGuardInputs {
  const given = checked as unknown as Omit<ConfigurationGuardInputs, Defaulted> &
    Partial<ConfigurationGuardInputs>;
  return { ...given, acceptDropped: given.acceptDropped ?? [], timeoutSeconds: given.timeoutSeconds ?? 600 };
}

/** Is this the configuration, of this node, that an earlier look was about? */
export function sameQuestion(olds: Properties, news: Properties): boolean {
  return ["node", "endpoint", "machineConfiguration", "patches", "acceptDropped"].every(
    (property) => JSON.stringify(olds[property]) === JSON.stringify(news[property]),
  );
}
