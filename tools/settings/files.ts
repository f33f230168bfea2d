import { readFileSync } from "node:fs";
import { join } from "node:path";
import { format, resolveConfig } from "prettier";
import { compatibilityPage } from "./compatibility.ts";
import { jsonSchemaOfSettings } from "../../settings/jsonSchema.ts";
import { settingsKeys } from "./keys.ts";
import { outputsSection } from "./outputs.ts";
import { settingsReference } from "./reference.ts";
import { stackFileSchema } from "./schema.ts";
import { settingsTemplate } from "./template.ts";

/** The files generated from the settings' schema and from what is known about Talos releases, by path in the repository. */
export async function settingsFiles(root: string): Promise<Record<string, string>> {
  const schema = jsonSchemaOfSettings();
  const keys = settingsKeys(schema);
  const texts = {
    "docs/settings.md": `${settingsReference(keys)}\n${outputsSection(readFileSync(join(root, "components/iscsiCluster.ts"), "utf8"))}`,
    "docs/compatibility.md": compatibilityPage(),
    "Pulumi.template.yaml": settingsTemplate(keys),
    "settings.schema.json": JSON.stringify(stackFileSchema(schema), undefined, 2),
  };
  const style = await resolveConfig(`${root}/package.json`);
  return Object.fromEntries(
    await Promise.all(
      Object.entries(texts).map(async ([path, text]) => [
        path,
        await format(text, { ...style, filepath: path }),
      ]),
    ),
  ) as Record<string, string>;
}
