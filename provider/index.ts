import { realClock } from "./clock.ts";
import { defaultPatience } from "./context.ts";
import { TalosNodeProvider } from "./plugin.ts";

// The engine's address is the first argument that is no flag. The Pulumi SDK takes it from the environment when it is
// loaded, and without it would print log messages where nobody sees them.
const args = process.argv.slice(2);
const engine = args.find((argument) => !argument.startsWith("-"));
if (engine !== undefined) process.env["PULUMI_NODEJS_ENGINE"] ??= engine;

// What only a deployment needs is loaded then: a preview starts this plugin too, and waits for it.
const [{ main }, { engineStatus }, { watchEngine }] = await Promise.all([
  import("@pulumi/pulumi/provider/server.js"),
  import("./engineStatus.ts"),
  import("./engineWatch.ts"),
]);

const provider = new TalosNodeProvider({
  talos: async () => (await import("../talos/api/client.ts")).connectTalos,
  connectKubernetes: async (kubeconfig) => (await import("./kubernetesApi.ts")).connectKubernetes(kubeconfig),
  clock: realClock,
  patience: defaultPatience,
  statusOf: engineStatus,
});

await main(provider, args);

if (engine !== undefined) watchEngine(engine, () => void provider.abandon().then(() => process.exit(1)));
