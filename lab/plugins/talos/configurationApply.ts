import { createHash } from "node:crypto";
import type { CheckFailure, ResourceLog } from "../plugin.ts";
import { readFlag, readObject, readText, readTexts, requireText } from "../read.ts";
import { containsUnknown, secret, unknown } from "../values.ts";
import type { Properties, PropertyValue } from "../values.ts";
import { withSecretClientKey } from "./handler.ts";
import type { ResourceHandler } from "./handler.ts";
import { patchMachineConfiguration } from "./machineConfiguration.ts";
import { readTarget, timeoutOf, withNode } from "./node.ts";
import type { NodeCommands, Target } from "./node.ts";
import { retryUntil } from "./retry.ts";
import type { Output } from "./talosctl.ts";

// talos:machine/configurationApply:ConfigurationApply. As the published provider does: what is applied is the input
// with the patches; a machine in maintenance mode is spoken to without credentials; nothing is read back at refresh;
// deleting does nothing unless `onDestroy.reset` is set.

const ID = "machine_configuration_apply";
const MODES = ["auto", "reboot", "no_reboot", "staged", "staged_if_needing_reboot"];
const DRY_RUN_TIMEOUT_MS = 60_000;

interface Operation {
  inputs: Properties;
  signal: AbortSignal;
  log: ResourceLog;
}

export const configurationApplyResource: ResourceHandler = {
  check({ inputs }) {
    return { inputs, failures: problems(inputs) };
  },

  async create(call) {
    const state = await plan(call, undefined);
    if (!call.preview) {
      await apply(call, state, timeoutOf(call.inputs, "create", call.timeoutSeconds));
    }
    return { id: call.preview ? "" : ID, state };
  },

  async update(call) {
    const state = await plan(call, call.state);
    if (!call.preview) {
      await apply(call, state, timeoutOf(call.inputs, "update", call.timeoutSeconds));
    }
    return state;
  },

  async delete({ state, signal, timeoutSeconds }) {
    const onDestroy = readObject(state, "onDestroy") ?? {};
    if (readFlag(onDestroy, "reset") !== true) {
      return;
    }
    const timeoutMs = timeoutOf(state, "delete", timeoutSeconds);
    await withNode(readTarget(state), signal, (node) =>
      node.secure(
        [
          "reset",
          `--graceful=${readFlag(onDestroy, "graceful") ?? true}`,
          `--reboot=${readFlag(onDestroy, "reboot") ?? false}`,
          "--system-labels-to-wipe=STATE,EPHEMERAL",
          `--timeout=${Math.ceil(timeoutMs / 1000)}s`,
        ],
        timeoutMs,
      ),
    );
  },
};

/** What the state will be: known already in a preview, as far as the inputs are. */
async function plan(call: Operation, before: Properties | undefined): Promise<Properties> {
  const { inputs } = call;
  const writeOnly = inputs["machineConfigurationInputWo"] !== undefined;
  const source = writeOnly ? "machineConfigurationInputWo" : "machineConfigurationInput";
  const ready = !containsUnknown(inputs[source]) && !containsUnknown(inputs["configPatches"]);
  const rendered = ready ? await render(inputs, source, call.signal) : undefined;
  const { machineConfigurationInputWo: _input, clientConfigurationWo: _client, ...kept } = inputs;
  const onDestroy = inputs["onDestroy"] === undefined ? undefined : withDefaults(inputs);
  return {
    ...withSecretClientKey(kept),
    ...(onDestroy === undefined ? {} : { onDestroy }),
    applyMode: inputs["applyMode"] ?? "auto",
    endpoint: inputs["endpoint"] ?? inputs["node"],
    resolvedApplyMode: await resolveMode(call, rendered, before),
    machineConfigurationHash:
      rendered === undefined ? unknown : createHash("sha256").update(rendered).digest("hex"),
    ...(writeOnly ? {} : { machineConfiguration: secret(rendered ?? unknown) }),
  };
}

async function render(inputs: Properties, source: string, signal: AbortSignal): Promise<string> {
  try {
    return await patchMachineConfiguration(
      requireText(inputs, source),
      readTexts(inputs, "configPatches"),
      signal,
    );
  } catch (error) {
    throw new Error(`configPatches: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    });
  }
}

function withDefaults(inputs: Properties): PropertyValue {
  if (containsUnknown(inputs["onDestroy"])) {
    return unknown;
  }
  const given = readObject(inputs, "onDestroy") ?? {};
  return {
    reset: readFlag(given, "reset") ?? false,
    graceful: readFlag(given, "graceful") ?? true,
    reboot: readFlag(given, "reboot") ?? false,
  };
}

/** `staged_if_needing_reboot` asks the machine, by a dry run, which of `auto` and `staged` that is. */
async function resolveMode(
  call: Operation,
  rendered: string | undefined,
  before: Properties | undefined,
): Promise<PropertyValue> {
  const { inputs, signal, log } = call;
  if (containsUnknown(inputs["applyMode"])) {
    return unknown;
  }
  const mode = readText(inputs, "applyMode") ?? "auto";
  if (mode !== "staged_if_needing_reboot") {
    return mode;
  }
  const asked = ["node", "endpoint", "clientConfiguration", "clientConfigurationWo"];
  if (rendered === undefined || asked.some((key) => containsUnknown(inputs[key]))) {
    return "auto";
  }
  if (before !== undefined && readText(before, "machineConfiguration") === rendered) {
    return readText(before, "resolvedApplyMode") ?? "auto";
  }
  const target = readTarget(inputs);
  try {
    const needsReboot = await withNode(target, signal, async (node) => {
      // talosctl tells what happens with the configuration on stderr.
      const { stderr } = await send(node, rendered, "auto", DRY_RUN_TIMEOUT_MS, ["--dry-run"]);
      return /with a reboot/i.test(stderr);
    });
    if (needsReboot) {
      log.warning(
        `node ${target.node}: this configuration needs a reboot and is staged; reboot the machine when it suits`,
      );
    }
    return needsReboot ? "staged" : "auto";
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    log.warning(
      `node ${target.node}: whether a reboot is needed could not be found out, "auto" is used: ${reason}`,
    );
    return "auto";
  }
}

async function apply(call: Operation, state: Properties, timeoutMs: number): Promise<void> {
  const { inputs, signal, log } = call;
  const target = readTarget(inputs);
  // With a write-only input the state holds no configuration to take.
  const configuration =
    inputs["machineConfigurationInputWo"] === undefined
      ? requireText(state, "machineConfiguration")
      : await render(inputs, "machineConfigurationInputWo", signal);
  const mode = requireText(state, "resolvedApplyMode");
  await withNode(target, signal, (node) =>
    retryUntil(
      { what: `apply the machine configuration to ${describe(target)}`, timeoutMs, signal, log },
      (remaining) => send(node, configuration, mode, remaining),
    ),
  );
}

/** The way in is found out at every attempt: a machine leaves maintenance mode while we try. */
async function send(
  node: NodeCommands,
  configuration: string,
  mode: string,
  timeoutMs: number,
  flags: string[] = [],
): Promise<Output> {
  const file = await node.workspace.write("machine.yaml", configuration);
  const args = ["apply-config", "--file", file, "--mode", mode.replaceAll("_", "-"), ...flags];
  return (await node.inMaintenance(timeoutMs))
    ? node.insecure(args, timeoutMs)
    : node.secure(args, timeoutMs);
}

function describe(target: Target): string {
  return target.endpoint === target.node
    ? `node ${target.node}`
    : `node ${target.node} by ${target.endpoint}`;
}

function problems(inputs: Properties): CheckFailure[] {
  const failures: CheckFailure[] = [];
  if (inputs["node"] === undefined) {
    failures.push({ property: "node", reason: "is required" });
  }
  for (const property of ["clientConfiguration", "machineConfigurationInput"]) {
    const given = [property, `${property}Wo`].filter((key) => inputs[key] !== undefined).length;
    if (given !== 1) {
      failures.push({ property, reason: `exactly one of ${property} and ${property}Wo must be set` });
    }
  }
  const mode = inputs["applyMode"];
  if (typeof mode === "string" && !MODES.includes(mode)) {
    failures.push({
      property: "applyMode",
      reason: `${JSON.stringify(mode)} is none of ${MODES.join(", ")}`,
    });
  }
  return failures;
}
