import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { nodeSchemaText } from "./nodeSchema/schema.ts";

// `npm run schema`: generates provider/schema.json, the schema of the plugin `talos-node`, from the types and doc comments in components/.
const root = join(import.meta.dirname, "..");
writeFileSync(join(root, "provider", "schema.json"), await nodeSchemaText(root));
