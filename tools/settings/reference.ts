import type { Key, Variant } from "./keys.ts";
import { briefDefault } from "./briefDefault.ts";
import { inline } from "./inline.ts";

/** `docs/settings.md`: a table for every section. */
export function settingsReference(keys: Key[]): string {
  return `${introduction}\n${sections("", [{ when: undefined, keys }], 2).join("\n")}`;
}

const introduction = `# Settings

Every key of a stack's file, \`Pulumi.<stack>.yaml\`. This page, \`Pulumi.template.yaml\` (every key with its default, to copy from) and
\`settings.schema.json\` (for editors) are written from the program's own schema by \`npm run docs:settings\`.

In the file the keys at the top carry the project's name: \`talos-iscsi:talosVersion\`. Lists are written here with brackets:
\`cluster.nodes[].address\` is the address of each node. NAME is a name that you choose. Every mistake in a file is reported at once, with its path.

**Secrets.** Set them with \`pulumi config set --secret --path\`, for instance
\`pulumi config set --secret --path joviandss.endpoint.password\`, which asks for the value and writes it encrypted. A Pulumi ESC
environment (\`environment:\` in the stack's file) can give any of the keys too. In the place of any text \`{ fromEnvironment: JOVIANDSS_PASSWORD }\` takes it
from that environment variable, for secrets that a CI system keeps.

What comes from the environment or was set with \`--secret\` is secret in state, history, plan files and \`--json\`, whatever its name: a user, a mount option, every
value of a patch. Two exceptions:

- Names, addresses and releases (\`talosVersion\`, \`image\` without its schematic, \`cluster\` without patches and documents, \`upgrade\`, and the drivers' names, namespaces and
  images) stay readable, because the names and IDs of resources consist of them.
- In a whole machine configuration (\`cluster.secrets\`, \`cluster.nodes[].config\`) its secrets are redacted, not every line.

The engine only tells which top-level key has a secret in it. What the stack's file has in plain text at the same path is not one; everything else under that key is treated as one.
A password, key or token in plain text in the stack's file is a warning, and an error with \`strictSecrets: true\`.

**Editors.** With \`# yaml-language-server: $schema=settings.schema.json\` as its first line, a stack's file is completed and checked while it is
written. The program's own check at \`pulumi preview\` knows more: addresses, releases, and what has to fit together.
`;

function sections(path: string, variants: Variant[], level: number): string[] {
  return variants.flatMap(({ when, keys }) => [
    ...(path === "" ? [] : [`${"#".repeat(level)} ${path}${when === undefined ? "" : ` with ${when}`}\n`]),
    table(keys),
    ...keys.flatMap((key) => sectionOf(key, path === "" ? 2 : Math.min(level + 1, 4))),
  ]);
}

function sectionOf(key: Key, level: number): string[] {
  if (key.variants.length === 0) return [];
  const [heading, ...rest] = sections(key.list ? `${key.path}[]` : key.path, key.variants, level);
  return heading === undefined ? [] : [heading, `${cell(key.description)}\n`, ...rest];
}

function table(keys: Key[]): string {
  const rows = keys.map((key) => {
    const below = key.variants.length > 0;
    const type = below ? `[${key.list ? "list" : "section"}](#${anchor(key)})` : key.type;
    return `| \`${key.name}\` | ${type} | ${cell(defaultOf(key))} | ${cell(key.description)} |`;
  });
  return `| Key | Value | Default | Meaning |\n| --- | --- | --- | --- |\n${rows.join("\n")}\n`;
}

function defaultOf(key: Key): string {
  if (key.required)
    return key.example === undefined ? "**required**" : `**required**, such as ${code(key.example)}`;
  if (key.byDefault === undefined) return key.variants.length > 0 && !key.list ? "" : "none";
  return code(briefDefault(key));
}

function code(value: unknown): string {
  return `\`${inline(value)}\``;
}

/** GitHub's anchor of the section's heading: letters, digits and dashes, spaces as dashes. */
function anchor({ path, list, variants }: Key): string {
  const when = variants[0]?.when;
  return `${path}${list ? "[]" : ""}${when === undefined ? "" : ` with ${when}`}`
    .toLowerCase()
    .replace(/[^a-z0-9 -]/g, "")
    .replaceAll(" ", "-");
}

function cell(text: string): string {
  return text.replaceAll("|", "\\|").replace(/<(?=[a-z])/g, "\\<");
}
