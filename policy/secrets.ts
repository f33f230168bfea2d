import type { PolicyConfigSchema, ResourceValidationPolicy, StackValidationPolicy } from "@pulumi/policy";
import { plainSecrets } from "../talos/redact.ts";
import { isPlain } from "./seen.ts";
import { isMapping, leaves, secretType } from "./types.ts";

/** What is plain text in an input is plain text in the state, in every preview and in every pull request's comment. */

const configSchema: PolicyConfigSchema = {
  properties: {
    texts: {
      type: "array",
      items: { type: "string" },
      description:
        "Texts that may stand nowhere in plain text, such as a marked test password (a canary). Not real secrets: this file is read by many.",
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
  "Mark it as a secret (pulumi config set --secret, pulumi.secret), and change it where it was in use: what was shown once is known.";

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
  description: "No secret stands in plain text in what a resource or the stack gives out.",
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

interface Found {
  path: string;
  /** For people, and without the secret itself. */
  what: string;
}

/** Where a resource's properties hold a secret in plain text. */
function plaintextSecrets(
  type: string,
  props: Record<string, unknown>,
  { texts = [], ignore = [] }: Config = {},
): Found[] {
  return [...inSecretObject(type, props), ...inVariables(props), ...inTexts(props, texts)].filter(
    ({ path }, index, all) =>
      !ignore.includes(path) && all.findIndex((other) => other.path === path) === index,
  );
}

function inSecretObject(type: string, props: Record<string, unknown>): Found[] {
  if (type !== secretType) return [];
  return ["data", "stringData"].flatMap((part) =>
    [...leaves(props[part], part)]
      .filter(({ value }) => isPlain(value) && value !== "")
      .map(({ path }) => ({ path, what: "the data of a Kubernetes Secret" })),
  );
}

/** Environment variables of containers: `{ name: DB_PASSWORD, value: … }`. */
function inVariables(value: unknown, path = ""): Found[] {
  if (Array.isArray(value))
    return (value as unknown[]).flatMap((item, index) => inVariables(item, `${path}[${index}]`));
  if (!isMapping(value)) return [];
  const { name, value: content } = value;
  if (typeof name === "string" && typeof content === "string" && isSecretName(name) && isPlainSecret(content))
    return [{ path: `${path}.value`, what: `the value of ${name}` }];
  return Object.entries(value).flatMap(([key, item]) =>
    inVariables(item, path === "" ? key : `${path}.${key}`),
  );
}

function inTexts(props: Record<string, unknown>, texts: readonly string[]): Found[] {
  return [...leaves(props)].flatMap(({ path, name, value }) => {
    const what = kindOfSecret(name, String(value), texts);
    return what === undefined ? [] : [{ path, what }];
  });
}

function kindOfSecret(name: string, text: string, texts: readonly string[]): string | undefined {
  if (!isPlain(text) || text === "") return undefined;
  if (texts.some((canary) => canary !== "" && text.includes(canary)))
    return "a text that this policy was told to look for";
  const decoded = /^LS0tLS/.test(text) ? Buffer.from(text, "base64").toString("latin1") : text;
  if (/-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----/.test(decoded)) return "a private key";
  if (isYaml(text)) {
    const secrets = plainSecrets(text);
    if (secrets > 0)
      return `a configuration with ${secrets === 1 ? "a secret" : `${secrets} secrets`} (a kubeconfig, a talosconfig or a machine configuration, perhaps)`;
    return undefined;
  }
  if (isSecretName(name) && isPlainSecret(text)) return `the value of ${name}`;
  if (/\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]+/.test(text)) return "a JSON web token";
  if (/(?:^|[\s"'=])[a-z0-9]{6}\.[a-z0-9]{16}(?:$|[\s"'])/.test(text)) return "a bootstrap token";
  if (/\b[a-z][a-z0-9+.-]*:\/\/[^/\s:@]*:[^/\s@«$[]+@/i.test(text)) return "a password in an address";
  if (/\b(?:Bearer|Basic)\s+[\w+/=.-]{12,}/.test(text)) return "credentials of an HTTP request";
  const flag = /(?:^|\s)--?([\w-]+)[= ]["']?([^\s"'«$[(]+)/.exec(text);
  if (flag?.[1] !== undefined && isSecretName(flag[1]) && isPlainSecret(flag[2] ?? ""))
    return `the value of --${flag[1]}`;
  return undefined;
}

// A document, not a line that happens to have a colon in it. Scripts and certificates are none.
function isYaml(text: string): boolean {
  return /\n/.test(text.trim()) && /^[\w"'.-]+:(?:\s|$)/m.test(text) && !/^(?:#!|-----BEGIN)/.test(text);
}

/** Does a field of this name hold a secret? Not where the name says that it only points to one: secretName, tokenFile, passwordRef. */
function isSecretName(name: string): boolean {
  return /(?:^|[_.-]|[a-z](?=[A-Z]))(?:password|passwd|passphrase|token|secret|api[_-]?key|private[_-]?key|client[_-]?key(?:[_-]?data)?|access[_-]?key|secret[_-]?key|credentials?|kubeconfig|talosconfig)$/i.test(
    name,
  );
}

/** A path, a name of a file, a reference in braces, or a switch is no secret, whatever the field is called. */
function isPlainSecret(text: string): boolean {
  return isPlain(text) && text !== "" && !/^(?:«secret |\$[({]|\/|true$|false$|\d{1,6}$)/.test(text);
}
