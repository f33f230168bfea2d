import type { Provider } from "@pulumi/pulumi/provider/provider.js";
import { main } from "@pulumi/pulumi/provider/server.js";
import manifest from "./package.json" with { type: "json" };

// The component package `talos-iscsi`, for programs in any language. What only one of its calls needs is loaded then.
const { version, server }: { version: string; server?: string } = manifest;
const provider: Provider = {
  version,
  getSchema: async () => JSON.stringify((await import("./schema.ts")).packageSpec(version, server)),
  construct: async (...call) => (await import("./construct.ts")).construct(call, version, server),
};

await main(provider, process.argv.slice(2));
