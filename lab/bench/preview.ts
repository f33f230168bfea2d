import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import {
  LocalWorkspace,
  type EngineEvent,
  type PulumiFn,
  type Stack,
} from "@pulumi/pulumi/automation/index.js";
import * as talos from "@pulumiverse/talos";
import { stringify } from "yaml";
import { labReport } from "../control.ts";
import { labFiles, projectDir } from "../layout.ts";
import { openStack, pulumiEnvironment } from "../stack.ts";
import { hashedInputs } from "./scale/bareState.ts";
import { cpuSeconds, summarize, formatFigure, measureSeconds } from "./figures.ts";

/**
 * What the program itself costs on top of the engine and the SDKs: compares the first preview of the stack dev with that of a bare program that
 * imports the same SDKs and registers the same resources with plain values. They alternate, so a machine that slows down slows both.
 */
export async function benchPreview(runs: number): Promise<void> {
  const lab = await labReport(labFiles.socket);
  if (lab?.mode !== "running")
    throw new Error("this figure needs a lab with a running cluster; start one with: npm run lab -- start");
  // Its own empty backend: the preview is that of a first `up`, whatever is deployed in the lab.
  const scratch = mkdtempSync(join(tmpdir(), "talos-iscsi-bench-"));
  try {
    const program = await openStack("dev", pathToFileURL(scratch).href);
    const resources = await registeredResources(program);
    const bare = await bareStack(scratch, resources);
    const times = { program: [] as number[], bare: [] as number[] };
    const work = { program: [] as number[], bare: [] as number[] };
    await bare.preview();
    for (let run = 0; run < runs; run += 1) {
      for (const [name, stack] of [
        ["program", program],
        ["bare", bare],
      ] as const) {
        const before = cpuSeconds();
        times[name].push(await measureSeconds(() => stack.preview()));
        const after = cpuSeconds();
        if (before !== undefined && after !== undefined) work[name].push(after - before);
      }
    }
    const ratio = summarize(ratios(times));
    process.stdout.write(
      [
        `preview of dev, ${resources.length} resources: ${formatFigure(summarize(times.program))}`,
        `bare program, as many resources:  ${formatFigure(summarize(times.bare))}`,
        `ratio, pair by pair:              ${ratio.median.toFixed(2)} (${ratio.least.toFixed(2)} to ${ratio.most.toFixed(2)}); aim: at most 1.30`,
        ...(work.program.length === 0 ? [] : [cpuLine(work)]),
        "",
      ].join("\n"),
    );
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

type Pairs = Record<"program" | "bare", number[]>;

function ratios({ program, bare }: Pairs): number[] {
  return program.map((value, index) => value / (bare[index] ?? Number.NaN));
}

/** CPU time of the program, the engine and the plugins, which other processes on the machine hardly affect. */
function cpuLine(work: Pairs): string {
  return `CPU time:                         ${formatFigure(summarize(work.program))} against ${formatFigure(summarize(work.bare))}, ratio ${summarize(ratios(work)).median.toFixed(2)}`;
}

interface Registered {
  type: string;
  name: string;
  custom: boolean;
  inputs: Record<string, unknown>;
}

/** What the program registers, as seen by the engine. */
async function registeredResources(stack: Stack): Promise<Registered[]> {
  const registered: Registered[] = [];
  await stack.preview({
    onEvent: ({ resourcePreEvent }: EngineEvent) => {
      const step = resourcePreEvent?.metadata;
      if (step === undefined || step.type === "pulumi:pulumi:Stack") return;
      const inputs = (step.new?.inputs ?? {}) as Record<string, unknown>;
      const name = step.urn.split("::").at(-1) ?? "";
      registered.push({
        type: step.type,
        name,
        custom: step.new?.custom === true,
        inputs: plainInputs(inputs),
      });
    },
  });
  return registered;
}

const credentials = { caCertificate: "Y2E=", clientCertificate: "Y2VydA==", clientKey: "a2V5" };
// Secrets that are lists.
const listed = ["patches"];
// How secrets and unknown values are encoded in the engine's events (sdk/go/common/resource).
const secretMark = "4dabf18193072939515e22adb298388d";
const unknownMark = "04da6b54-80e4-46f7-96ec-b56ff0331ba9";

/** Plain values only: secrets and unknown values are replaced by placeholders of the same shape. */
function plainInputs(inputs: Record<string, unknown>): Record<string, unknown> {
  const text = JSON.stringify(inputs, (key, value: unknown) => {
    const isSecret = typeof value === "object" && value !== null && secretMark in value;
    if (!isSecret && value !== unknownMark) return value;
    if (key === "clientConfiguration") return credentials;
    return listed.includes(key) ? ["value"] : "value";
  });
  return JSON.parse(text) as Record<string, unknown>;
}

async function bareStack(scratch: string, resources: Registered[]): Promise<Stack> {
  const project = {
    name: "bare",
    runtime: "nodejs",
    plugins: { providers: [{ name: "talos-node", path: join(projectDir, "provider") }] },
  };
  writeFileSync(join(scratch, "Pulumi.yaml"), stringify(project));
  return LocalWorkspace.createOrSelectStack(
    { projectName: "bare", stackName: "bare", program: bareProgram(resources) },
    {
      workDir: scratch,
      envVars: {
        ...pulumiEnvironment(),
        PULUMI_BACKEND_URL: pathToFileURL(scratch).href,
        PULUMI_SKIP_UPDATE_CHECK: "true",
      },
    },
  );
}

class Custom extends pulumi.CustomResource {}
class Component extends pulumi.ComponentResource {}

/**
 * The inputs of the program itself, without the provider's findings. While credentials are unknown, the provider contacts no node: what the
 * program's preview reads from nodes is part of the program's cost.
 */
function withoutProviderInputs(inputs: Record<string, unknown>): Record<string, unknown> {
  const given = Object.fromEntries(Object.entries(inputs).filter(([key]) => !hashedInputs.includes(key)));
  const later = Object.keys(given).filter((key) => ["clientConfiguration", "registeredId"].includes(key));
  return { ...given, ...Object.fromEntries(later.map((key) => [key, pulumi.unknown])) };
}

/** The same resources from the same SDKs; one provider of each kind, as in the program. */
function bareProgram(resources: Registered[]): PulumiFn {
  return async () => {
    const kubeconfig = new talos.cluster.Kubeconfig("kubeconfig", {
      endpoint: "127.0.0.1",
      clientConfiguration: credentials,
      node: "127.0.0.1",
    });
    const kubernetes = new k8s.Provider("kubernetes", { kubeconfig: kubeconfig.kubeconfigRaw });
    const factory = new talos.Provider("factory", {});
    // A node's checked inputs have a digest of it.
    const rollout = resources.find(({ type }) => type.endsWith(":RolloutPreflight"))?.inputs["rollout"];
    for (const { type, name, custom, inputs } of resources) {
      if (type.startsWith("pulumi:providers:") || type === "talos:cluster/kubeconfig:Kubeconfig") continue;
      const provider = type.startsWith("kubernetes:")
        ? { provider: kubernetes }
        : type.startsWith("talos:imageFactory")
          ? { provider: factory }
          : {};
      const whole = "rollout" in inputs ? { ...inputs, rollout } : inputs;
      if (custom) new Custom(type, name, withoutProviderInputs(whole), provider);
      else new Component(type, name, inputs);
    }
  };
}
