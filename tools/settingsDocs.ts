import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { settingsFiles } from "./settings/files.ts";

// `npm run docs:settings`: generates docs/settings.md, Pulumi.template.yaml and settings.schema.json from the settings' schema,
// and docs/compatibility.md from releases.ts, features.ts and extensions.ts in talos/.
const root = join(import.meta.dirname, "..");
for (const [path, text] of Object.entries(await settingsFiles(root))) {
  writeFileSync(join(root, path), text);
  console.log(path);
}
