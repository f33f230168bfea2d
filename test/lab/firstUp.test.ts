import "reflect-metadata";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import * as x509 from "@peculiar/x509";
import { afterAll, beforeAll, expect, test } from "vitest";
import { parse, stringify } from "yaml";
import { issueLeaf, loadAuthority } from "../../lab/pki.ts";
import type { TalosCredentials } from "../../talos/api/credentials.ts";
import { nightly } from "./nightly.ts";
import { LabProject, type Finished } from "./project.ts";

/**
 * Adopts a running cluster with a single control plane: its only kube-apiserver restarts during the rollout, and its only node has the
 * control-plane taint. The Kubernetes plugin is the real one.
 */

let lab: LabProject;
let first: Finished;

beforeAll(async () => {
  lab = await LabProject.make();
  const stackFile = join(lab.dir, "Pulumi.dev.yaml");
  const text = readFileSync(stackFile, "utf8");
  writeFileSync(stackFile, text.replace(/ {6}- name: cp2\n[\s\S]*?(?= {4}secrets:)/, ""));
  first = await lab.lab("up");
});

afterAll(async () => lab?.remove());

test("one up is enough", async () => {
  expect(first.text).not.toContain("unreachable");
  expect([first.code, first.text.slice(first.code === 0 ? first.text.length : -6000)]).toEqual([0, ""]);
  expect((await lab.labOk("up")).stdout).toContain("Nothing to change");
});

test("the driver's controller runs on the control plane despite its taint", async () => {
  const taints = await lab.tool("kubectl", "get", "node", "cp1", "--output=jsonpath={.spec.taints[*].key}");
  expect(taints).toContain("node-role.kubernetes.io/control-plane");
  const pods = await lab.tool(
    "kubectl",
    "--namespace=joviandss-csi",
    "get",
    "pods",
    "--selector=app=joviandss-csi-controller",
    "--output=jsonpath={.items[*].spec.nodeName}",
  );
  expect(pods).toBe("cp1");
});

test("a stack of 0.1.0 only updates the Kubernetes provider, and replaces nothing", async () => {
  await changeState(({ type, inputs, outputs }) => {
    if (type !== "pulumi:providers:kubernetes") return;
    delete inputs["clusterIdentifier"];
    delete outputs["clusterIdentifier"];
  });
  expect(await changes()).toEqual(["update pulumi:providers:kubernetes"]);
  const up = await lab.pulumi("up", "--yes", "--stack", "dev");
  expect(up.text).toMatch(/~ 1 updated/);
  expect(await changes()).toEqual([]);
});

test("a renewed kubeconfig updates no node and replaces no storage object", async () => {
  const certificate = Buffer.from(await expiringCertificate()).toString("base64");
  await changeState(({ type, outputs }) => {
    if (type !== "talos:cluster/kubeconfig:Kubeconfig") return;
    const client = outputs["kubernetesClientConfiguration"] as { clientCertificate: string };
    client.clientCertificate = certificate;
  });
  const planned = await changes();
  expect(planned).toContain("update talos:cluster/kubeconfig:Kubeconfig");
  expect(planned.filter((change) => /replace|delete|create|talos-node/.test(change))).toEqual([]);
  const up = await lab.pulumi("up", "--yes", "--stack", "dev");
  expect(up.code).toBe(0);
  expect(up.text).not.toMatch(/replaced|deleted|created/);
  expect(await changes()).toEqual([]);
});

nightly(
  "an expired talosconfig stops the preview; one up renews the credentials and changes no node",
  async () => {
    const expired = await expiredCredentials();
    writeFileSync(lab.file("expired"), stringify(talosconfigOf(expired)));
    const withExpired = (text: string) => text.replace(".lab/talosconfig", ".lab/expired");
    const renewing = (text: string) =>
      withExpired(text).replace("    secrets:\n", "    renewCredentials: true\n    secrets:\n");

    const refused = await lab.withStackFile("dev", withExpired, () =>
      lab.pulumi("preview", "--stack", "dev"),
    );
    expect(refused.code).not.toBe(0);
    expect(refused.text).toMatch(
      /the client certificate of the talosconfig expired on \d{4}-\d\d-\d\d.*renewCredentials/,
    );
    expect(refused.text).not.toMatch(/could not be asked|did not answer/);

    await lab.withStackFile("dev", renewing, async () => {
      expect(await changes()).toEqual(["update talos:cluster/kubeconfig:Kubeconfig"]);
      const up = await lab.pulumi("up", "--yes", "--stack", "dev");
      expect([up.code, up.text.slice(up.code === 0 ? up.text.length : -6000)]).toEqual([0, ""]);
      expect(up.text).toMatch(/~ 1 updated/);
      const shown = await lab.pulumi("stack", "output", "talosconfig", "--show-secrets", "--stack", "dev");
      writeFileSync(lab.file("renewed"), shown.stdout);
      const talosctl = join(lab.dir, ".lab", "bin", "talosctl");
      const asked = await lab.run(talosctl, [
        "--talosconfig",
        lab.file("renewed"),
        "--nodes=127.10.0.11",
        "version",
      ]);
      expect([asked.code, asked.text]).toEqual([0, expect.stringContaining("v1.13.9")]);

      // A refresh uses the credentials from the inputs, since those in the state may have expired.
      await changeState(({ type, outputs }) => {
        if (type.startsWith("talos-node:") && outputs["clientConfiguration"] !== undefined)
          outputs["clientConfiguration"] = expired;
      });
      const refresh = await lab.pulumi("refresh", "--yes", "--stack", "dev");
      expect([refresh.code, refresh.text]).toEqual([0, expect.not.stringContaining("could not be read")]);
      expect(await changes()).toEqual([]);
    });
  },
);

interface Resource {
  type: string;
  inputs: Record<string, unknown>;
  outputs: Record<string, unknown>;
}

/** Edits the stack's state, to imitate passing time or an older version of this project. */
async function changeState(change: (resource: Resource) => void): Promise<void> {
  const exported = await lab.pulumi("stack", "export", "--stack", "dev");
  const state = JSON.parse(exported.stdout) as { deployment: { resources: Resource[] } };
  state.deployment.resources.forEach(change);
  const file = join(lab.dir, "state.json");
  writeFileSync(file, JSON.stringify(state));
  const imported = await lab.pulumi("stack", "import", "--stack", "dev", "--file", file);
  expect([imported.code, imported.text.slice(0, imported.code === 0 ? 0 : undefined)]).toEqual([0, ""]);
}

/** The operations of a preview by resource type, without unchanged resources. */
async function changes(): Promise<string[]> {
  const preview = await lab.pulumi("preview", "--json", "--stack", "dev");
  const { steps } = JSON.parse(preview.stdout) as { steps: { op: string; urn: string }[] };
  return steps
    .filter(({ op }) => op !== "same")
    .map(({ op, urn }) => `${op} ${urn.split("::")[2]?.split("$").at(-1) ?? ""}`);
}

/** Credentials of the lab's cluster that have expired. */
async function expiredCredentials(): Promise<TalosCredentials> {
  const { certs } = parse(readFileSync(lab.file("secrets.yaml"), "utf8")) as {
    certs: { os: { crt: string; key: string } };
  };
  const leaf = await issueLeaf(await loadAuthority(certs.os), {
    commonName: "admin",
    organizations: ["os:admin"],
    usages: ["client"],
    keyKind: "ed25519",
    days: -1,
  });
  const base64 = (text: string): string => Buffer.from(text).toString("base64");
  return {
    caCertificate: certs.os.crt,
    clientCertificate: base64(leaf.certificate),
    clientKey: base64(leaf.key),
  };
}

function talosconfigOf({ caCertificate, clientCertificate, clientKey }: TalosCredentials): object {
  const context = { endpoints: ["127.10.0.11"], ca: caCertificate, crt: clientCertificate, key: clientKey };
  return { context: "dev", contexts: { dev: context } };
}

async function expiringCertificate(): Promise<string> {
  x509.cryptoProvider.set(crypto);
  const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
  const keys = await crypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
  const made = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: "01",
    name: "CN=admin",
    notBefore: new Date(Date.now() - 86_400_000),
    notAfter: new Date(Date.now() + 86_400_000),
    signingAlgorithm: algorithm,
    keys,
  });
  return made.toString("pem");
}
