import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { configText, isLeaf, isTreeList, parseConfig, type Tree } from "../talos/configTree.ts";
import { KNOWN_CONTRACTS } from "../talos/releases.ts";
import { parseSecretsBundle } from "../talos/secretsBundle.ts";
import { secretMarks } from "../talos/skeleton.ts";
import { askGo } from "./goProgram.ts";
import { resolveTools } from "./resolve.ts";

// Writes talos/skeletons.json: the configurations that talosctl generates for a new cluster, or for contract v1.14 the machinery of that release.

const run = promisify(execFile);
const roles = ["controlplane", "worker"] as const;
const cluster = { clusterName: "talos-iscsi-skeleton", endpoint: "https://talos-iscsi.invalid:6443" };
// Not a real release, so that every occurrence can be found and replaced.
const kubernetesVersion = "1.30.987";

/** The configurations of all contracts and roles, as lines of YAML with placeholders. */
export async function generateSkeletons(): Promise<Record<string, Record<string, string[]>>> {
  const { talosctl } = await resolveTools(["talosctl"]);
  const folder = await mkdtemp(join(tmpdir(), "talos-iscsi-skeletons-"));
  try {
    const secretsFile = join(folder, "secrets.yaml");
    await run(talosctl, ["gen", "secrets", "-o", secretsFile]);
    const secrets = await readFile(secretsFile, "utf8");
    const marks = new Map([
      ...[...secretMarks(parseSecretsBundle(secrets))].flatMap(([mark, value]): [string, string][] => [
        [value, mark],
        [Buffer.from(value, "base64").toString("utf8"), mark.replace(">", "|pem>")],
      ]),
      [cluster.clusterName, "<clusterName>"],
      [cluster.endpoint, "<endpoint>"],
      [new URL(cluster.endpoint).hostname, "<endpointHost>"],
    ]);
    const marked = (text: string): string[] =>
      configText(parseConfig(text).map((document) => withMarks(document, marks)))
        .replaceAll(kubernetesVersion, "<kubernetesVersion>")
        .trimEnd()
        .split("\n");
    const all: Record<string, Record<string, string[]>> = {};
    for (const contract of KNOWN_CONTRACTS) {
      const texts =
        contract === "v1.14"
          ? await generateByMachinery(secrets)
          : await generateByTalosctl(talosctl, contract, secretsFile);
      all[contract] = Object.fromEntries(roles.map((role, index) => [role, marked(texts[index] ?? "")]));
    }
    return all;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Replaces each value that is specific to this cluster with a placeholder. */
function withMarks(tree: Tree, marks: ReadonlyMap<string, string>): Tree {
  if (isTreeList(tree)) return tree.map((item) => withMarks(item, marks));
  if (!isLeaf(tree)) return new Map([...tree].map(([key, value]) => [key, withMarks(value, marks)]));
  const mark = marks.get(tree.text);
  return mark === undefined ? tree : { text: mark, plain: true };
}

async function generateByTalosctl(
  talosctl: string,
  contract: string,
  secretsFile: string,
): Promise<string[]> {
  const outputs = await Promise.all(
    roles.map((role) =>
      run(talosctl, [
        ...["gen", "config", cluster.clusterName, cluster.endpoint, "--talos-version", contract],
        ...["--with-secrets", secretsFile, "--kubernetes-version", kubernetesVersion],
        ...["--with-docs=false", "--with-examples=false", "--output-types", role, "--output", "-"],
      ]),
    ),
  );
  return outputs.map(({ stdout }) => stdout);
}

async function generateByMachinery(secrets: string): Promise<string[]> {
  const answers = await askGo<{ config?: string; error?: string }>(
    "machinery114",
    roles.map((role) => ({ role, patches: [], secrets, kubernetesVersion, ...cluster })),
  );
  return answers.map(({ config, error }) => {
    if (config === undefined) throw new Error(`the machinery of v1.14: ${error ?? "no configuration"}`);
    return config;
  });
}

/** The content of talos/skeletons.json. */
export async function skeletonsText(): Promise<string> {
  return `${JSON.stringify(await generateSkeletons(), undefined, 2)}\n`;
}

if (import.meta.main) {
  await writeFile(join(import.meta.dirname, "..", "talos", "skeletons.json"), await skeletonsText());
}
