// The bare program of `npm run bench -- scale`, copied into its own project: the same resources from the same SDKs, with plain values, one provider of
// each kind. It measures what the engine, the SDKs and the plugins cost by themselves.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import * as talos from "@pulumiverse/talos";

const credentials = { caCertificate: "Y2E=", clientCertificate: "Y2VydA==", clientKey: "a2V5" };
const kubeconfig = new talos.cluster.Kubeconfig("kubeconfig", {
  endpoint: "127.0.0.1",
  clientConfiguration: credentials,
  node: "127.0.0.1",
});
const kubernetes = new k8s.Provider("kubernetes", { kubeconfig: kubeconfig.kubeconfigRaw });
const factory = new talos.Provider("factory", {});

interface Registered {
  type: string;
  name: string;
  custom: boolean;
  inputs: Record<string, unknown>;
}

const registered = JSON.parse(
  readFileSync(join(import.meta.dirname, "resources.json"), "utf8"),
) as Registered[];

class Custom extends pulumi.CustomResource {}
class Component extends pulumi.ComponentResource {}

for (const { type, name, custom, inputs } of registered) {
  if (type.startsWith("pulumi:providers:") || type === "talos:cluster/kubeconfig:Kubeconfig") continue;
  const provider = type.startsWith("kubernetes:")
    ? { provider: kubernetes }
    : type.startsWith("talos:imageFactory")
      ? { provider: factory }
      : {};
  // Unknown in a preview, as in the program's own first preview: here too, no node may be contacted.
  if (inputs.clientConfiguration !== undefined)
    inputs.clientConfiguration = kubeconfig.id.apply(() => credentials);
  if (custom) new Custom(type, name, inputs, provider);
  else new Component(type, name, inputs);
}
