// Starts the provider plugin. The engine starts it through the executable
// pulumi-resource-talos-node; where it finds none (Windows) the language host loads it by PulumiPlugin.yaml and package.json.
require("./startPlugin.cjs")("talos-node", __dirname, () => import("./index.ts"));
