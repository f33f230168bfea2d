import { realClock } from "./clock.ts";
import { serveDetailedDiffs } from "./detailedDiff.ts";
import { serveDeduplicatedOutputs } from "./deduplicatedOutputs.ts";
import { defaultTimeouts } from "./timeouts.ts";
import { sealRealClients } from "./gate/sealedClients.ts";
import { TalosNodeProvider } from "./plugin.ts";

// The engine's address is the first argument that is no flag.
const args = process.argv.slice(2);
const engine = args.find((argument) => !argument.startsWith("-"));

// What only a deployment needs is loaded then: a preview starts this plugin too, and waits for it.
const [{ main }, { resetOptions }, { engineStatus }, { watchEngine }] = await Promise.all([
  import("@pulumi/pulumi/provider/server.js"),
  import("@pulumi/pulumi/runtime/settings.js"),
  import("./engineStatus.ts"),
  import("./engineWatch.ts"),
]);

// Without the engine's address the SDK prints log messages where nobody sees them. The environment would do as well, but only before the
// SDK is loaded, and the language host's runner of plugins has loaded it by now.
if (engine !== undefined) resetOptions("", "", -1, engine, "", false, "");

const provider = new TalosNodeProvider({
  talos: async () => (await import("../talos/api/client.ts")).connectTalos,
  connectKubernetes: async (kubeconfig) => (await import("./kubernetesApi.ts")).connectKubernetes(kubeconfig),
  acting: sealRealClients(),
  clock: realClock,
  patience: defaultTimeouts,
  // One run of the engine, at one address.
  ...(engine === undefined ? {} : { run: engine }),
  advised: new Set(),
  statusOf: engineStatus,
});

// What is registered first is called last: both the diffs and the SDK's own methods get complete outputs.
serveDeduplicatedOutputs();
serveDetailedDiffs(provider);
const getSchema = async () => JSON.stringify((await import("./nodeSchema.ts")).nodePackageSpec());
await main(Object.assign(provider, { getSchema }), args);

if (engine !== undefined) watchEngine(engine, () => void provider.abandon().then(() => process.exit(1)));
