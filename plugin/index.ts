import type { Provider } from "@pulumi/pulumi/provider/provider.js";
import { main } from "@pulumi/pulumi/provider/server.js";
import { watchEngine } from "../provider/engineWatch.ts";
import manifest from "./package.json" with { type: "json" };

// The component package `talos-iscsi`, for programs in any language. What only one of its calls needs is loaded then.
const { version, server }: { version: string; server?: string } = manifest;
const provider: Provider = {
  version,
  getSchema: async () => JSON.stringify((await import("./schema.ts")).clusterPackageSpec(version, server)),
  construct: async (...call) => (await import("./construct.ts")).constructCluster(call, version, server),
};

// The engine's address is the first argument that is no flag.
const args = process.argv.slice(2);
const engine = args.find((argument) => !argument.startsWith("-"));
await main(provider, args);

// An engine that was killed ends no plugin. This one has nothing under way that has to end well: it only declares.
if (engine !== undefined) watchEngine(engine, () => process.exit(1));
