import type { Provider } from "@pulumi/pulumi/provider/provider.js";
import { main } from "@pulumi/pulumi/provider/server.js";
import { watchEngine } from "../provider/engineWatch.ts";
import manifest from "./package.json" with { type: "json" };

// The component package `talos-iscsi`, for programs in any language. Code that only one call needs is loaded on demand.
const { version, server }: { version: string; server?: string } = manifest;
const provider: Provider = {
  version,
  getSchema: async () => JSON.stringify((await import("./schema.ts")).clusterPackageSpec(version, server)),
  construct: async (...call) => (await import("./construct.ts")).constructCluster(call, version, server),
};

// The engine's address is the first argument that is not a flag.
const args = process.argv.slice(2);
const engine = args.find((argument) => !argument.startsWith("-"));
await main(provider, args);

// A killed engine doesn't stop its plugins. This one only declares, so nothing in progress has to finish.
if (engine !== undefined) watchEngine(engine, () => process.exit(1));
