import { afterAll, beforeAll, describe, expect, it } from "vitest";
import * as pulumi from "@pulumi/pulumi";
import * as talos from "@pulumiverse/talos";
import { parseAllDocuments } from "yaml";
import { FactoryServer } from "../../lab/factory/server.ts";
import { standInEngine } from "./standInEngine.ts";
import type { StandInEngine } from "./standInEngine.ts";

const ISCSI = "c9078f9419961640c712a8bf2bb9174933dfcf1da383fd8ea2b7dc21493f8bac";
const BOTH = "613e1592b2da41ae5e265e8789429f22e121aab91cb4deb6bc3c0b6262961245";
const SECURITY_PATCH = `cluster:
  apiServer:
    admissionControl:
      - name: PodSecurity
        configuration:
          exemptions:
            namespaces:
              - joviandss-csi
`;

let extensions = ["siderolabs/iscsi-tools"];
let engine: StandInEngine;
const factory = new FactoryServer({ host: "127.47.0.3" });

/** What the program does with the provider before any machine exists. */
async function program(): Promise<Record<string, unknown>> {
  const secrets = new talos.machine.Secrets("secrets", { talosVersion: "v1.12" });
  const schematic = new talos.imagefactory.Schematic(
    "schematic",
    {
      schematic: JSON.stringify({ customization: { systemExtensions: { officialExtensions: extensions } } }),
    },
    { replaceOnChanges: ["schematic"] },
  );
  const configuration = talos.machine.getConfigurationOutput({
    clusterName: "dev",
    clusterEndpoint: "https://127.47.0.10:6443",
    machineType: "controlplane",
    machineSecrets: secrets.machineSecrets,
    talosVersion: "v1.12",
    kubernetesVersion: "v1.35.4",
    configPatches: [SECURITY_PATCH],
  });
  const client = talos.client.getConfigurationOutput({
    clusterName: "dev",
    clientConfiguration: secrets.clientConfiguration,
    endpoints: ["127.47.0.11"],
  });
  return {
    schematicId: schematic.id,
    machineConfiguration: configuration.machineConfiguration,
    talosconfig: client.talosConfig,
    token: secrets.machineSecrets.apply(({ trustdinfo }) => trustdinfo.token),
    key: secrets.clientConfiguration.apply(({ clientKey }) => clientKey),
    isSecret: pulumi.output(pulumi.isSecret(secrets.machineSecrets)),
  };
}

beforeAll(async () => {
  await factory.start();
  engine = await standInEngine(program, { "talos:imageFactoryUrl": factory.url });
}, 1_200_000);

afterAll(async () => {
  await engine.remove();
  await factory.stop();
});

describe("the stand-in of the Talos plugin under the real engine", () => {
  it("shows in the first preview what will be created", async () => {
    const { changeSummary } = await engine.stack.preview();
    expect(changeSummary).toEqual({ create: 3 });
    expect(factory.knows(ISCSI)).toBe(false);
  });

  it("creates the secrets, and a configuration with the first guide's exemption", async () => {
    const { outputs, summary } = await engine.stack.up();
    expect(summary.resourceChanges).toEqual({ create: 3 });
    expect(outputs["schematicId"]?.value).toBe(ISCSI);
    expect(factory.knows(ISCSI)).toBe(true);
    for (const name of ["machineConfiguration", "talosconfig", "token", "key"]) {
      expect(outputs[name]?.secret, name).toBe(true);
    }
    const [machine] = parseAllDocuments(outputs["machineConfiguration"]?.value as string).map(
      (document) => document.toJS() as { cluster: { apiServer: { admissionControl: unknown[] } } },
    );
    expect(machine?.cluster.apiServer.admissionControl[0]).toMatchObject({
      name: "PodSecurity",
      configuration: { exemptions: { namespaces: ["kube-system", "joviandss-csi"] } },
    });
  });

  it("stores no secret in plain text in the state", async () => {
    const outputs = await engine.stack.outputs();
    const state = await engine.storedState();
    const [token, key, configuration] = ["token", "key", "machineConfiguration"].map(
      (name) => outputs[name]?.value as string,
    );
    expect(token).toMatch(/^[a-z0-9]+\.[a-z0-9]+$/);
    expect(configuration).toContain(token);
    const base64 = (text: string) => Buffer.from(text).toString("base64").replace(/=+$/, "");
    const telling = {
      token: token ?? "",
      key: key ?? "",
      "machine configuration": "persist: true",
      "a key's PEM": "PRIVATE KEY",
      "an Ed25519 key": base64("-----BEGIN ED25519 PRIVATE").slice(0, -1),
      "an EC key": base64("-----BEGIN EC PRIVATE").slice(0, -1),
      "an RSA key": base64("-----BEGIN RSA PRIVATE").slice(0, -1),
    };
    expect(state).toContain("talos:machine/secrets:Secrets");
    // Only the names, so a failure does not print the state.
    expect(Object.entries(telling).flatMap(([name, text]) => (state.includes(text) ? [name] : []))).toEqual(
      [],
    );
  });

  it("finds nothing to do the second time, and no drift in a refresh", async () => {
    expect((await engine.stack.preview({ expectNoChanges: true })).changeSummary).toEqual({ same: 3 });
    expect((await engine.stack.refresh()).summary.resourceChanges).toEqual({ same: 3 });
    expect((await engine.stack.preview({ expectNoChanges: true })).changeSummary).toEqual({ same: 3 });
  });

  it("replaces a changed schematic, which gets a new ID", async () => {
    extensions = ["siderolabs/iscsi-tools", "siderolabs/util-linux-tools"];
    expect((await engine.stack.preview()).changeSummary).toEqual({ same: 2, replace: 1 });
    expect((await engine.stack.up()).outputs["schematicId"]?.value).toBe(BOTH);
  });

  it("can be destroyed", async () => {
    await engine.stack.destroy();
    expect((await engine.stack.exportStack()).deployment).not.toHaveProperty("resources");
  });
});
