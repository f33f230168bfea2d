import { readFileSync } from "node:fs";
import * as pulumi from "@pulumi/pulumi";
import type { z } from "zod";
import { problemsFromIssues } from "./components/csi/problems.ts";
import { parseRepaired } from "./components/csi/parseRepaired.ts";
import { applyEnvironmentPlan } from "./settings/approvedPlan.ts";
import { wordedIfEmpty } from "./settings/emptyValues.ts";
import { expandFlatKeys, topSetting } from "./settings/flatKeys.ts";
import { withoutMissing, resolveEnvironment, type Environment } from "./settings/environment.ts";
import { completeSettings, type ReadFile, type Settings } from "./settings/rules.ts";
import { settingsSchema } from "./settings/settingsSchema.ts";
import {
  collectHiddenValues,
  plainSecretProblems,
  findPlainSecrets,
  replaceScalars,
  scalarsIn,
  secretScalars,
  withoutValues,
  type Origin,
  type Scalar,
} from "./settings/secretValues.ts";
import { pendingProblems } from "./settings/pendingValues.ts";
import { problemCode } from "./settings/problemCode.ts";
import { decodeText } from "./talos/decodeText.ts";
import { coded } from "./talos/errorCodes.ts";
import { isRecord } from "./talos/values.ts";
import { readStackFile } from "./settings/stackFile.ts";
import { suggestKey } from "./settings/suggestions.ts";

export type { Settings } from "./settings/rules.ts";

/** One mistake in a stack's file. */
export interface Problem {
  /** Where it is, as in the file: `cluster.nodes[2].address`. */
  path: string;
  /** What is wrong, and what would be right. */
  reason: string;
}

/** The configuration is invalid. Lists every mistake, so that one round of fixes is enough. */
export class SettingsError extends Error {
  readonly problems: Problem[];

  constructor(problems: Problem[]) {
    const count = problems.length === 1 ? "1 mistake" : `${problems.length} mistakes`;
    super(
      `the configuration has ${count}:\n${problems.map((problem) => `  ${coded(problemCode(problem), `${problem.path === "" ? "" : `${problem.path}: `}${problem.reason}`)}`).join("\n")}`,
    );
    this.name = "SettingsError";
    this.problems = problems;
  }
}

/**
 * The typed settings of a stack.
 *
 * @param config the keys of the stack's file without the project's prefix, structured values as objects. A key may be a path: `cluster.name`.
 * @param readFile reads the files that the settings name; default: relative to the working folder.
 * @param environment the variables that `{ fromEnvironment: NAME }` may name; default: those of this process.
 * @param origin which settings are Pulumi secrets, and what the stack's file has in plain text; default: unknown, so plain-text secrets are not reported.
 * @throws SettingsError with every mistake at once.
 * @example `parseSettings({ talosVersion: "v1.13.9", cluster: { name: "dev", endpoint: "https://10.0.0.10:6443", nodes: [...] } })`
 */
export function parseSettings(
  config: Record<string, unknown>,
  readFile: ReadFile = readFromWorkingFolder,
  environment: Environment = process.env,
  origin?: Origin,
): Settings {
  const bottomless = nestingProblems(config);
  if (bottomless.length > 0) throw new SettingsError(bottomless);
  const pending = pendingProblems(config);
  if (pending.length > 0) throw new SettingsError(pending);
  const flat = expandFlatKeys(config, origin);
  const given = resolveEnvironment(applyEnvironmentPlan(flat.config, environment), environment);
  const known = flat.origin;
  const secret = [...given.taken, ...(known === undefined ? [] : secretScalars(given.config, known))];
  const plain = known === undefined ? [] : plainSecretProblemsIn(flat.config, given.config, secret);
  const parsed = settingsSchema.safeParse(given.config);
  const issues = parsed.error?.issues ?? [];
  const rest = parsed.success ? undefined : parseRepaired(settingsSchema, given.config, issues, 1);
  const problems = [...issues, ...(rest?.issues ?? [])].flatMap((issue) => toProblems(issue, given.config));
  const whole = isRecord(given.config) ? given.config : {};
  const completed = completeSettings(whole, parsed.data ?? rest?.data, readFile);
  const strict = whole["strictSecrets"] === true;
  const others = withoutMissing(given.problems, [
    ...problems,
    ...completed.problems,
    ...(strict ? plain : []),
  ]);
  const all = withoutRepeats([...flat.problems, ...given.problems, ...others]).map(hideValuesIn);
  if (all.length > 0 || completed.settings === undefined) throw new SettingsError(all);
  const warnings = [...completed.settings.warnings, ...(strict ? [] : plain)].map(hideValuesIn);
  return { ...completed.settings, warnings, hidden: collectHiddenValues(given.config, secret) };

  /** A message may quote a secret that was set in the wrong place. */
  function hideValuesIn(problem: Problem): Problem {
    return { ...problem, reason: withoutValues(problem.reason, secret) };
  }
}

/** Secrets that are not marked as such. A value still missing from the environment does not count. */
function plainSecretProblemsIn(
  given: Record<string, unknown>,
  config: Record<string, unknown>,
  secret: Scalar[],
): Problem[] {
  const missing = scalarsIn(given).filter(({ path }) => path.at(-1) === "fromEnvironment");
  const hidden = [...secret, ...missing];
  return plainSecretProblems(
    findPlainSecrets(replaceScalars(config, hidden, "[secret]") as Record<string, unknown>),
  );
}

/**
 * The settings of the running program's stack: the one place that reads Pulumi's configuration.
 * @throws pulumi.RunError (which the engine shows verbatim, without a stack trace) if the configuration is invalid.
 */
export function loadSettings(): Settings {
  try {
    return parseSettings(readConfig(), undefined, undefined, readOrigin());
  } catch (error) {
    const message = settingsMessage(error, pulumi.getProject());
    throw message === undefined ? error : new pulumi.RunError(message);
  }
}

/** The message to show for a configuration error; undefined for any other error. */
export function settingsMessage(error: unknown, project = "talos-iscsi"): string | undefined {
  if (!(error instanceof SettingsError)) return undefined;
  return `${error.message}\nFix them in Pulumi.<stack>.yaml (its keys start with the project's name, \`${project}:\`) or with \`pulumi config set\`.`;
}

/** A schema issue as problems, with a suggestion for a misspelled key. */
function toProblems(issue: z.core.$ZodIssue, config: unknown): Problem[] {
  return problemsFromIssues([issue]).map((problem, index) => {
    const key = issue.code === "unrecognized_keys" ? issue.keys[index] : undefined;
    if (key === undefined) return wordedIfEmpty(problem, settingsSchema, config, issue.path);
    const meant = suggestKey(settingsSchema, issue.path, key);
    return meant === undefined
      ? problem
      : { ...problem, reason: `${problem.reason}. Did you mean ${meant}?` };
  });
}

/** Far deeper than any real settings, and well short of where recursive checks overflow the stack. */
const maxDepth = 100;

/** Keys whose values are nested too deeply to check; a value that contains itself never ends. */
function nestingProblems(config: Record<string, unknown> | null | undefined): Problem[] {
  return Object.entries(config ?? {}).flatMap(([path, value]) => {
    let level = new Set<unknown>([value]);
    for (let depth = 0; depth < maxDepth; depth++) {
      level = new Set([...level].flatMap(childValues));
      if (level.size === 0) return [];
    }
    return [{ path, reason: `is nested deeper than ${maxDepth} levels` }];
  });
}

function childValues(value: unknown): unknown[] {
  return typeof value === "object" && value !== null ? (Object.values(value) as unknown[]) : [];
}

/** Which settings are Pulumi secrets: the engine knows the top-level keys, and the stack's file shows what is plain text. */
function readOrigin(): Origin {
  const prefix = `${pulumi.getProject()}:`;
  const { isConfigSecret } = pulumi.runtime as unknown as { isConfigSecret: (key: string) => boolean };
  const keys = Object.keys(pulumi.runtime.allConfig()).filter(
    (key) => key.startsWith(prefix) && isConfigSecret(key),
  );
  return {
    secretKeys: new Set(keys.map((key) => key.slice(prefix.length))),
    file: readStackFile(pulumi.getProject(), pulumi.getStack(), readFromWorkingFolder),
  };
}

/** All keys of this project; structured values arrive as JSON text. */
function readConfig(): Record<string, unknown> {
  const prefix = `${pulumi.getProject()}:`;
  return Object.fromEntries(
    Object.entries(pulumi.runtime.allConfig())
      .filter(([key]) => key.startsWith(prefix))
      .map(([path, value]) => {
        const key = path.slice(prefix.length);
        return [key, parseStructured(key, value)];
      }),
  );
}

function parseStructured(key: string, value: string): unknown {
  if (!/^\s*[[{]/.test(value)) return topSetting(key, value);
  try {
    return JSON.parse(value) as unknown;
  } catch {
    return value; // text that only starts like JSON; the schema reports what was expected
  }
}

function readFromWorkingFolder(path: string): string {
  return decodeText(readFileSync(path));
}

function withoutRepeats(problems: Problem[]): Problem[] {
  const seen = new Set<string>();
  return problems.filter(({ path, reason }) => {
    const key = `${path}\0${reason}`;
    return seen.has(key) ? false : seen.add(key);
  });
}
