import { realClock } from "./clock.ts";
import { serveDetailedDiffs } from "./detailedDiff.ts";
import { serveDeduplicatedOutputs } from "./deduplicatedOutputs.ts";
import { defaultTimeouts } from "./timeouts.ts";
import { sealRealClients } from "./gate/sealedClients.ts";
import { TalosNodeProvider } from "./plugin.ts";

// The engine's address is the first argument that is not a flag.
const args = process.argv.slice(2);
const engine = args.find((argument) => !argument.startsWith("-"));

// Deployment-only code is loaded on demand: a preview starts this plugin too, and waits for it.
const [{ main }, { resetOptions }, { engineStatus }, { watchEngine }] = await Promise.all([
  import("@pulumi/pulumi/provider/server.js"),
  import("@pulumi/pulumi/runtime/settings.js"),
  import("./engineStatus.ts"),
  import("./engineWatch.ts"),
]);

// Without the engine's address the SDK prints log messages where nobody sees them. The environment variable would work too, but only before the SDK is loaded,
// and the language host's plugin runner has already loaded it.
if (engine !== undefined) resetOptions("", "", -1, engine, "", false, "");

const provider = new TalosNodeProvider({
  talos: async () => (await import("../talos/api/client.ts")).connectTalos,
  connectKubernetes: async (kubeconfig) => (await import("./kubernetesApi.ts")).connectKubernetes(kubeconfig),
  acting: sealRealClients(),
  clock: realClock,
  timeouts: defaultTimeouts,
  // The engine's address identifies its run.
  ...(engine === undefined ? {} : { run: engine }),
  advised: new Set(),
  statusOf: engineStatus,
});

// The last registered wrapper runs first: both the diffs and the SDK's own methods get complete outputs.
serveDeduplicatedOutputs();
serveDetailedDiffs(provider);
const getSchema = async () => JSON.stringify((await import("./nodeSchema.ts")).nodePackageSpec());
await main(Object.assign(provider, { getSchema }), args);

if (engine !== undefined) watchEngine(engine, () => void provider.abandon().then(() => process.exit(1)));
