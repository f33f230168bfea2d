import * as pulumi from "@pulumi/pulumi";
import { parse } from "yaml";
import { parseSchematic, schematicId } from "../../../talos/schematic.ts";
import { canary } from "../settings/example.ts";
import { record, type RecordOptions } from "./recorder.ts";

type Program = Record<string, unknown>;

/** The schematic that a stack has by default. */
export const iscsiSchematicId = schematicId({
  customization: { systemExtensions: { officialExtensions: ["siderolabs/iscsi-tools"] } },
});

/** A secret on the wire. The engine wraps a secret output again if its properties are secret. */
function wireSecretOf(value: object): object {
  return { "4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", value };
}

/** The factory answers with the ID of the document it was sent. */
function registeredId(inputs: Record<string, unknown>): string {
  return schematicId(parseSchematic(parse(inputs["schematic"] as string) as Record<string, unknown>));
}

/** What providers return for resources in an update. */
export const providers: RecordOptions = {
  made: ({ type, inputs }) => {
    const clientConfiguration = { caCertificate: "ca", clientCertificate: "crt", clientKey: canary };
    switch (type) {
      case "talos:imageFactory/schematic:Schematic":
        return { id: registeredId(inputs) };
      case "talos:machine/secrets:Secrets":
        return {
          state: {
            machineSecrets: wireSecretOf(
              wireSecretOf({ cluster: { id: "id-of-a-new-cluster", secret: canary } }),
            ),
            clientConfiguration,
          },
        };
      case "talos:cluster/kubeconfig:Kubeconfig":
        return { state: { kubeconfigRaw: `kubeconfig ${canary}` } };
      case "talos-node:index:NodeUpgrade":
        return {
          state: {
            runningVersion: "v1.13.9",
            runningSchematic: iscsiSchematicId,
            initiatorName: "iqn.2004-10.com.talos:1",
          },
        };
      default:
        return {};
    }
  },
  answer: ({ token }) =>
    token === "talos-node:index:clientCredentials"
      ? { clientConfiguration: { caCertificate: "ca", clientCertificate: "issued", clientKey: canary } }
      : token === "talos:machine/getConfiguration:getConfiguration"
        ? { machineConfiguration: `machine:\n  token: ${canary}\n` }
        : { talosConfig: `talosconfig ${canary}` },
};

let run = 0;

/**
 * Runs index.ts as the language host would, with this configuration.
 *
 * @param made what a provider returns for a resource, if it differs from the default
 */
export function runProgram(
  config: Record<string, unknown>,
  preview = false,
  { made }: Pick<RecordOptions, "made"> = {},
) {
  const entries = Object.entries(config).map(([key, value]) => [
    `talos-iscsi:${key}`,
    typeof value === "string" ? value : JSON.stringify(value),
  ]);
  return record(
    async () => {
      pulumi.runtime.setAllConfig(Object.fromEntries(entries) as Record<string, string>);
      // The query string makes each run load the program anew. Its imports are loaded once.
      return (await import(/* @vite-ignore */ `../../../index.ts?run=${run++}`)) as Program;
    },
    {
      ...providers,
      preview,
      made: (resource) => ({ ...providers.made?.(resource), ...made?.(resource) }),
    },
  );
}
