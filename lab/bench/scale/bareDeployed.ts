// The bare program next to a deployed stack, copied into its own project: it registers every resource of that stack with the inputs from its state,
// using the same SDKs. It measures what the engine, the SDKs and the plugins cost by themselves when nothing changes.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import * as talos from "@pulumiverse/talos";
import type { DeployedResource } from "./bareState.ts";

// Loads the SDKs as a program that uses them does.
void [k8s.Provider, talos.Provider];

const resources = JSON.parse(
  readFileSync(join(import.meta.dirname, "resources.json"), "utf8"),
) as DeployedResource[];

class Custom extends pulumi.CustomResource {}
class Component extends pulumi.ComponentResource {}
class Provider extends pulumi.ProviderResource {}

/** How a secret is encoded in an exported state (sdk/go/common/resource). */
const secretMark = "4dabf18193072939515e22adb298388d";

function withSecrets(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withSecrets);
  if (typeof value !== "object" || value === null) return value;
  const { plaintext } = value as { plaintext?: string };
  if (secretMark in value && plaintext !== undefined) return pulumi.secret(JSON.parse(plaintext) as unknown);
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, withSecrets(inner)]));
}

const made = new Map<string, pulumi.Resource>();
for (const { urn, type, name, custom, inputs, parent, provider, dependsOn, ...options } of resources) {
  const given = withSecrets(inputs) as Record<string, unknown>;
  const above = made.get(parent ?? "");
  const all = {
    ...options,
    ...(above === undefined ? {} : { parent: above }),
    dependsOn: dependsOn.flatMap((other) => made.get(other) ?? []),
  };
  const providers = made.get(provider ?? "") as pulumi.ProviderResource | undefined;
  const kind = /^pulumi:providers:(.*)$/.exec(type)?.[1];
  made.set(
    urn,
    kind !== undefined
      ? new Provider(kind, name, given, all)
      : custom
        ? new Custom(type, name, given, providers === undefined ? all : { ...all, provider: providers })
        : new Component(type, name, given, all),
  );
}
