import type { Key } from "./keys.ts";
import { briefDefault } from "./briefDefault.ts";
import { inlineYaml } from "./inline.ts";

/** `docs/settings.md`: a table per top-level section, with a row per key. */
export function settingsReference(keys: Key[]): string {
  const shown = new Map<string, string>();
  const plain = keys.filter(({ variants }) => variants.length === 0);
  const renderSections = keys.filter(({ variants }) => variants.length > 0);
  return [
    introduction,
    renderTable(plain.flatMap((key) => rows(key, shown))),
    ...renderSections.map((key) => `## ${key.name}\n\n${renderTable(rows(key, shown))}`),
  ].join("\n");
}

const introduction = `# Settings

Every key of \`Pulumi.<stack>.yaml\`. \`npm run docs:settings\` writes this page, \`Pulumi.template.yaml\` (every key with its default, to copy from) and \`settings.schema.json\`
(for editors: start the file with \`# yaml-language-server: $schema=settings.schema.json\`) from the program's schema.

In the file, top-level keys start with \`talos-iscsi:\`. \`[]\` is a list's entry, NAME a name that you choose. All mistakes are reported at once, with their paths.

**Secrets.** Set them with \`pulumi config set --secret --path joviandss.endpoint.password\`, in a Pulumi ESC environment, or as \`{ fromEnvironment: JOVIANDSS_PASSWORD }\`
in place of any text. Such values are secret in state, history, plans and \`--json\`, with two exceptions:

- Names, addresses and releases stay readable, since resource names contain them.
- In a whole machine configuration only its secrets are redacted.

Below a top-level key with a secret, only what the stack file has in plain text is readable.
`;

/** The rows of a key and everything below it. A section whose keys were already shown for another section refers to that one. */
function rows(key: Key, shown: Map<string, string>): string[] {
  const [first, ...others] = key.variants;
  if (first === undefined) return [row(key, key.description)];
  // If no key has a default, the types alone decide.
  const same = shown.get(shape(key)) ?? (isWithoutDefaults(key) ? shown.get(typesOf(key)) : undefined);
  if (same !== undefined) return [row(key, `${key.description} Keys as \`${same}\`.`)];
  shown.set(shape(key), key.path);
  shown.set(typesOf(key), key.path);
  const known = new Set(first.keys.map(shape));
  const added = others.flatMap(({ keys }) => keys.filter((child) => !known.has(shape(child))));
  return [row(key, key.description), ...[...first.keys, ...added].flatMap((child) => rows(child, shown))];
}

/** What a key accepts: equal for sections with the same keys and defaults. */
function shape({ name, type, required, byDefault, variants }: Key): string {
  return JSON.stringify(
    variants.length === 0
      ? [name, type, required, byDefault]
      : variants.map(({ when, keys }) => [when, keys.map(shape)]),
  );
}

/** The same, ignoring defaults. */
function typesOf({ name, type, variants }: Key): string {
  return JSON.stringify(
    variants.length === 0 ? [name, type] : variants.map(({ when, keys }) => [when, keys.map(typesOf)]),
  );
}

function isWithoutDefaults({ variants }: Key): boolean {
  return variants
    .flatMap(({ keys }) => keys)
    .every(
      ({ required, byDefault, variants: below }) =>
        !required && byDefault === undefined && below.length === 0,
    );
}

function row(key: Key, description: string): string {
  // A default of a simple type shows the type.
  const shown = key.byDefault === undefined || !/^[a-z]+$/.test(key.type) ? key.type : "";
  const type = key.variants.length === 0 ? shown : key.list ? "list" : "";
  return `| \`${key.path}\` | ${type} | ${escapeCell(defaultOf(key))} | ${escapeCell(description)} |`;
}

function renderTable(lines: string[]): string {
  return `| Key | Value | Default | Meaning |\n| --- | --- | --- | --- |\n${lines.join("\n")}\n`;
}

function defaultOf(key: Key): string {
  if (key.required) return "**required**";
  return key.byDefault === undefined ? "" : `\`${inlineYaml(briefDefault(key))}\``;
}

function escapeCell(text: string): string {
  // A code span would show the backslash.
  return text.replaceAll("|", "\\|").replace(/`[^`]*`|<(?=[a-z])/g, (part) => (part === "<" ? "\\<" : part));
}
