import { readFile } from "node:fs/promises";
import { parse } from "yaml";
import { diffInputs } from "../diff.ts";
import type { DiffResult } from "../plugin.ts";
import { readObject, readText, requireObject, requireText } from "../read.ts";
import { secret, unknown } from "../values.ts";
import type { Properties } from "../values.ts";
import { expiresWithin } from "./certificate.ts";
import { defaultTalosContract } from "./handler.ts";
import type { ResourceHandler } from "./handler.ts";
import { bundleFromMachineSecrets, machineSecretsFromBundle } from "./machineSecrets.ts";
import { Workspace } from "./talosctl.ts";

// talos:machine/secrets:Secrets. Like the published provider: created once, kept in the state, never read from
// anywhere; an update renews the client certificate in its last month; an import takes the path of a secrets bundle.

const ID = "machine_secrets";
const RENEWAL_MS = 31 * 24 * 3_600_000;
const TALOSCTL_TIMEOUT_MS = 60_000;

export const secretsResource: ResourceHandler = {
  check({ inputs }) {
    const version = inputs["talosVersion"];
    const failures =
      typeof version === "string" && !isVersion(version)
        ? [
            {
              property: "talosVersion",
              reason: `${JSON.stringify(version)} is no Talos version, such as v1.12`,
            },
          ]
        : [];
    return { inputs, failures };
  },

  diff({ inputs, oldInputs, state, ignoreChanges }) {
    const result = diffInputs(oldInputs, inputs, { ignore: ignoreChanges });
    // An older contract may need different secrets: before Talos 1.3, the encryption key was a different one.
    if (result.diffs.includes("talosVersion") && isOlder(contractOf(inputs), contractOf(state))) {
      result.replaces.push("talosVersion");
    }
    return clientExpires(state) ? withClientRenewal(result) : result;
  },

  async create({ inputs, preview, signal }) {
    const talosVersion = inputs["talosVersion"] ?? defaultTalosContract;
    if (preview) {
      return { id: "", state: { talosVersion, machineSecrets: unknown, clientConfiguration: unknown } };
    }
    const state = await Workspace.use(signal, async (workspace) => {
      const file = `${workspace.path}/secrets.yaml`;
      const version = contractOf({ talosVersion });
      await workspace.talosctl(["gen", "secrets", "--output-file", file, "--talos-version", version], {
        timeoutMs: TALOSCTL_TIMEOUT_MS,
      });
      return stateFromBundle(workspace, await readFile(file, "utf8"));
    });
    return { id: ID, state: { talosVersion, ...state } };
  },

  async read({ id, state, inputs, signal }) {
    if (Object.keys(state).length > 0) {
      return { id, state, inputs };
    }
    const bundle = await readFile(id, "utf8").catch((error: NodeJS.ErrnoException) => {
      throw new Error(
        `an import of secrets takes the path of a secrets bundle; ${id}: ${error.code ?? error.message}`,
      );
    });
    const imported = await Workspace.use(signal, (workspace) => stateFromBundle(workspace, bundle));
    // The published provider can't know the bundle's contract and reports the oldest one that fits.
    const hasOldKey = readText(
      requireObject(requireObject(imported, "machineSecrets"), "secrets"),
      "aescbcEncryptionSecret",
    );
    const talosVersion = hasOldKey === undefined ? "v1.3" : "v1.2";
    return { id: ID, state: { talosVersion, ...imported }, inputs: { talosVersion } };
  },

  async update({ inputs, state, preview, signal }) {
    const next = { ...state, talosVersion: inputs["talosVersion"] ?? defaultTalosContract };
    if (!clientExpires(state)) {
      return next;
    }
    if (preview) {
      return { ...next, clientConfiguration: unknown };
    }
    const bundle = bundleFromMachineSecrets(requireObject(state, "machineSecrets"));
    const clientConfiguration = await Workspace.use(signal, (workspace) => newClient(workspace, bundle));
    return { ...next, clientConfiguration };
  },
};

async function stateFromBundle(workspace: Workspace, bundle: string): Promise<Properties> {
  return {
    machineSecrets: machineSecretsFromBundle(bundle),
    clientConfiguration: await newClient(workspace, bundle),
  };
}

/** An admin certificate from the bundle's CA: talosctl issues one for every talosconfig that it generates. */
async function newClient(workspace: Workspace, bundle: string): Promise<Properties> {
  const secretsFile = await workspace.write("bundle.yaml", bundle);
  const talosconfig = `${workspace.path}/talosconfig`;
  await workspace.talosctl(
    [
      ...["gen", "config", "client", "https://127.0.0.1:6443", "--with-secrets", secretsFile],
      ...["--output-types", "talosconfig", "--output", talosconfig],
    ],
    { timeoutMs: TALOSCTL_TIMEOUT_MS },
  );
  const parsed = parse(await readFile(talosconfig, "utf8")) as Properties;
  const context = requireObject(requireObject(parsed, "contexts"), requireText(parsed, "context"));
  return {
    caCertificate: requireText(context, "ca"),
    clientCertificate: requireText(context, "crt"),
    clientKey: secret(requireText(context, "key")),
  };
}

function clientExpires(state: Properties): boolean {
  const certificate = readText(readObject(state, "clientConfiguration") ?? {}, "clientCertificate");
  return expiresWithin(certificate, RENEWAL_MS, new Date());
}

function withClientRenewal(result: DiffResult): DiffResult {
  return { ...result, diffs: [...result.diffs, "clientConfiguration"] };
}

function contractOf(properties: Properties): string {
  return `v${(readText(properties, "talosVersion") ?? defaultTalosContract).replace(/^v/, "")}`;
}

function isVersion(text: string): boolean {
  return /^v?\d+\.\d+(\.\d+)?/.test(text);
}

function isOlder(version: string, than: string): boolean {
  const numbers = (text: string) => text.replace(/^v/, "").split(/[.-]/).map(Number);
  const [a, b] = [numbers(version), numbers(than)];
  const first = [0, 1, 2].find((index) => (a[index] ?? 0) !== (b[index] ?? 0));
  return first !== undefined && (a[first] ?? 0) < (b[first] ?? 0);
}
