import type { PolicyConfigSchema, ResourceValidationPolicy, StackValidationPolicy } from "@pulumi/policy";
import { countPlainSecrets } from "../talos/redact.ts";
import { isLabelKey, isSecretName, isSecretSection } from "../talos/secrecy/names.ts";
import { isCertificate, isHarmlessValue, isPrivateKey } from "../talos/secrecy/shapes.ts";
import { isMark, secretSpans, type Span } from "../talos/secrecy/text.ts";
import { isPlain } from "./policyView.ts";
import { isRecord } from "../talos/values.ts";
import { leaves, secretType } from "./types.ts";

/** What is plain text in an input is plain text in the state, in every preview and in every pull request's comment. */

const configSchema: PolicyConfigSchema = {
  properties: {
    texts: {
      type: "array",
      items: { type: "string" },
      description:
        "Strings that must not appear anywhere in plain text, such as a marked test password (a canary). Not real secrets: many people can read this file.",
    },
    ignore: {
      type: "array",
      items: { type: "string" },
      description:
        "Paths that are known to be harmless, such as spec.template.spec.containers[0].env[2].value.",
    },
  },
};

interface Config {
  texts?: string[];
  ignore?: string[];
}

const whatToDo =
  "Mark it as a secret (pulumi config set --secret, pulumi.secret), and rotate it: it may have been read.";

export const noPlaintextSecrets: ResourceValidationPolicy = {
  name: "no-plaintext-secrets",
  displayName: "No plaintext secrets",
  description:
    "No password, token, private key, kubeconfig or talosconfig is a resource's input in plain text.",
  enforcementLevel: "mandatory",
  severity: "critical",
  remediationSteps: whatToDo,
  configSchema,
  validateResource: (args, reportViolation) => {
    for (const { path, what } of plaintextSecrets(args.type, args.props, args.getConfig<Config>()))
      reportViolation(`${path} holds ${what} in plain text. ${whatToDo}`);
  },
};

export const noPlaintextOutputs: StackValidationPolicy = {
  name: "no-plaintext-outputs",
  displayName: "No plaintext secrets in outputs",
  description: "No output of a resource or of the stack holds a secret in plain text.",
  enforcementLevel: "mandatory",
  severity: "critical",
  remediationSteps: whatToDo,
  configSchema,
  validateStack: (args, reportViolation) => {
    for (const { type, props, urn } of args.resources) {
      for (const { path, what } of plaintextSecrets(type, props, args.getConfig<Config>()))
        reportViolation(`The output ${path} holds ${what} in plain text. ${whatToDo}`, urn);
    }
  },
};

interface FoundSecret {
  path: string;
  /** For people, and without the secret itself. */
  what: string;
}

/** Where a resource's properties hold a secret in plain text. */
function plaintextSecrets(
  type: string,
  props: Record<string, unknown>,
  { texts = [], ignore = [] }: Config = {},
): FoundSecret[] {
  return [...secretsInObject(type, props), ...secretsInTexts(props, texts), ...secretsByName(props)].filter(
    ({ path }, index, all) =>
      !ignore.includes(path) && all.findIndex((other) => other.path === path) === index,
  );
}

function secretsInObject(type: string, props: Record<string, unknown>): FoundSecret[] {
  if (type !== secretType) return [];
  return ["data", "stringData"].flatMap((part) =>
    [...leaves(props[part], part)]
      .filter(({ value }) => isPlain(value) && value !== "")
      .map(({ path }) => ({ path, what: "the data of a Kubernetes Secret" })),
  );
}

/** Environment variables of containers (`{ name: DB_PASSWORD, value: … }`), values by their names, and sections whose names say that all in them is secret. */
function secretsByName(value: unknown, path = "", inherited = ""): FoundSecret[] {
  if (Array.isArray(value))
    return (value as unknown[]).flatMap((item, index) => secretsByName(item, `${path}[${index}]`, inherited));
  if (!isRecord(value)) {
    const secret = inherited !== "" && typeof value === "string" && isPlainSecret(value);
    return secret ? [{ path, what: `the value of ${inherited}` }] : [];
  }
  const { name: variable } = value;
  return Object.entries(value).flatMap(([key, item]) => {
    if (key.startsWith("__")) return [];
    const isVariable = key === "value" && typeof variable === "string" && isSecretName(variable);
    const isLabel = key === "key" && isLabelKey(value);
    const isSecret = isRecord(item) ? isSecretSection(key, item) : isSecretName(key) && !isLabel;
    // Lists of names, such as the resources of a right or imagePullSecrets, have mappings or say what they are.
    const from = isVariable ? variable : isSecret && !Array.isArray(item) ? key : inherited;
    return secretsByName(item, path === "" ? key : `${path}.${key}`, from);
  });
}

function secretsInTexts(props: Record<string, unknown>, texts: readonly string[]): FoundSecret[] {
  return [...leaves(props)].flatMap(({ path, name, value }) => {
    const what = kindOfSecret(name, String(value), texts);
    return what === undefined ? [] : [{ path, what }];
  });
}

function kindOfSecret(name: string, text: string, texts: readonly string[]): string | undefined {
  if (!isPlain(text) || text === "") return undefined;
  if (texts.some((canary) => canary !== "" && text.includes(canary)))
    return "a string that this policy is configured to look for";
  if (isPrivateKey(text)) return "a private key";
  if (isCertificate(text)) return undefined;
  if (isYaml(text)) {
    const secrets = countPlainSecrets(text);
    if (secrets > 0)
      return `a configuration with ${secrets === 1 ? "a secret" : `${secrets} secrets`} (perhaps a kubeconfig, talosconfig or machine configuration)`;
    return undefined;
  }
  // A digest or an ID looks random and is none, so only what is known by its form or its name counts.
  const spans = secretSpans(text, /^(?:environment|env)$/i.test(name), true);
  const first = spans.find(([start, end]) => isPlainSecret(text.slice(start, end)));
  return first === undefined ? undefined : describeSpan(text, first);
}

/** What a part of a text is, for people. */
function describeSpan(text: string, [start, end]: Span): string {
  const [before, secret] = [text.slice(0, start), text.slice(start, end)];
  const flag = /(--?[\w-]+)["']?[= ]["']?$/.exec(before)?.[1];
  if (flag !== undefined) return `the value of ${flag}`;
  if (/^eyJ/.test(secret)) return "a JSON web token";
  if (/^[a-z0-9]{6}\.[a-z0-9]{16}$/.test(secret)) return "a bootstrap token";
  if (text[end] === "@") return "a password in an address";
  if (/\b(?:Bearer|Basic)\s+$/.test(before)) return "credentials of an HTTP request";
  const assigned = /([\w.-]+)["']?\s*[:=]\s*["']?$/.exec(before)?.[1];
  return assigned === undefined ? "a key, a token or a password" : `the value of ${assigned}`;
}

// A document, not a line that happens to have a colon in it. Scripts and certificates are none.
function isYaml(text: string): boolean {
  return /\n/.test(text.trim()) && /^[\w"'.-]+:(?:\s|$)/m.test(text) && !/^(?:#!|-----BEGIN)/.test(text);
}

/** A path, a reference to a variable, a mark or a switch is no secret, whatever the field is called. */
function isPlainSecret(text: string): boolean {
  return isPlain(text) && !isMark(text) && !isHarmlessValue(text) && !/^(?:\$[\w({]|\/[\w./-]+$)/.test(text);
}
