import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { nodeSchemaText } from "./nodeSchema/schema.ts";

// `npm run schema`: writes provider/schema.json, what the resources of the plugin `talos-node` are, from the types and comments of components/.
const root = join(import.meta.dirname, "..");
writeFileSync(join(root, "provider", "schema.json"), await nodeSchemaText(root));
