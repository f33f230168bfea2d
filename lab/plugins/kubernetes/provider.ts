import { createHash } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import {
  type CheckFailure,
  type CreateCall,
  type ProviderPlugin,
  ResourceInitError,
  type UpdateCall,
} from "../plugin.ts";
import { readText } from "../read.ts";
import { containsUnknown, isObject, revealAll } from "../values.ts";
import type { PlainValue, Properties } from "../values.ts";
import { NotReadyError } from "./cluster.ts";
import { KubectlError } from "./kubectl.ts";
import {
  annotationOf,
  displayName,
  idOf,
  type KubernetesObject,
  metadataText,
  parseId,
  secretTexts,
  typeMeta,
  withName,
  withNamespace,
} from "./object.ts";
import { echo, fieldManagerKey, importedInputs, liveInputs, outputsOf, previewed } from "./outputs.ts";
import { readiness } from "./readiness.ts";
import { diffObject } from "./replacement.ts";
import { readSettings, type Settings } from "./settings.ts";
import { invoke } from "./yamlDecode.ts";

/** How long an object may take to become ready, and to go, where nothing says otherwise; as in the published provider. */
const defaultTimeoutSeconds = 600;

/** Stands in for the published Kubernetes provider: the real kubectl does the work, by server-side apply. */
export function kubernetesPlugin(): ProviderPlugin {
  let settings: Settings | undefined;
  const configured = (): Settings => {
    if (settings === undefined) throw new Error("the kubernetes provider has not been configured");
    return settings;
  };

  return {
    name: "kubernetes",
    version: "4.34.2",

    configure(config) {
      settings = readSettings(config);
    },

    async check({ inputs, oldInputs, name, type, signal }) {
      const failures = typeFailures(inputs, type);
      const kind = typeMeta(inputs);
      if (kind === undefined || failures.length > 0) return { inputs, failures };
      const { cluster, namespace } = configured();
      const named = withName(inputs, oldInputs, name);
      const namespaced = await cluster?.namespaced(kind.apiVersion, kind.kind, signal);
      return { inputs: namespaced === true ? withNamespace(named, await namespace()) : named };
    },

    diff: ({ inputs, oldInputs, ignoreChanges }) =>
      diffObject(oldInputs, inputs, ignoreChanges, configured()),

    async create(call) {
      const { inputs, preview, name } = call;
      const fieldManager = `pulumi-kubernetes-${createHash("sha256").update(call.urn).digest("hex").slice(0, 8)}`;
      return explained(inputs, name, async () => {
        const { cluster, upsert } = configured();
        const unseen = { id: preview ? "" : name, state: echo(inputs, fieldManager) };
        if (preview && (cluster === undefined || containsUnknown(inputs))) return unseen;
        if (cluster === undefined) throw new Error("the provider's kubeconfig is not known");
        const exists = async () => (await cluster.get(referenceOf(inputs), call.signal)) !== undefined;
        try {
          const object = manifest(inputs);
          if (!preview && !upsert && (await exists())) {
            throw new Error(
              "already exists in the cluster; import it, or set upsertExistingObjects on the provider",
            );
          }
          const live = await withRetries(preview, () =>
            cluster.apply(object, applyOptions(call, fieldManager)),
          );
          const state = outputsOf(live, inputs, fieldManager);
          if (preview) return { id: idOf(live), state: previewed(state) };
          return { id: idOf(live), state: await awaited(call, live, fieldManager) };
        } catch (error) {
          // Its namespace or its kind may be part of the same update, and so may the cluster; and what cannot be
          // changed into it may be the object that it replaces, and gone by then.
          const lacking = error instanceof KubectlError && (error.missing || error.unreachable);
          if (preview && (lacking || (await exists()))) return unseen;
          throw error;
        }
      });
    },

    async update(call) {
      const { inputs, preview, name } = call;
      const fieldManager = readText(call.state, fieldManagerKey) ?? "pulumi-kubernetes";
      return explained(inputs, name, async () => {
        const { cluster } = configured();
        const unseen = { ...echo(inputs, fieldManager) };
        if (preview && (cluster === undefined || containsUnknown(inputs))) return unseen;
        if (cluster === undefined) throw new Error("the provider's kubeconfig is not known");
        try {
          const live = await withRetries(preview, () =>
            cluster.apply(manifest(inputs), applyOptions(call, fieldManager)),
          );
          if (preview) return outputsOf(live, inputs, fieldManager);
          return await awaited(call, live, fieldManager);
        } catch (error) {
          if (preview && error instanceof KubectlError && (error.missing || error.unreachable)) return unseen;
          throw error;
        }
      });
    },

    async read({ id, inputs, state, type, signal }) {
      const known = Object.keys(inputs).length > 0 ? inputs : state;
      const kind = typeMeta(known) ?? typeOfToken(type);
      return explained({ ...known, ...kind }, id, async () => {
        const { cluster } = configured();
        if (cluster === undefined) return { id, state, inputs };
        const live = await cluster.get({ ...kind, ...parseId(id) }, signal);
        if (live === undefined) return undefined;
        const fieldManager = readText(state, fieldManagerKey) ?? "pulumi-kubernetes";
        const nowInputs =
          Object.keys(inputs).length > 0 ? liveInputs(inputs, state, live) : importedInputs(live);
        const outputs = outputsOf(live, nowInputs, fieldManager);
        const { ready, message } = readiness(live);
        if (!ready && annotationOf(nowInputs, "pulumi.com/skipAwait") !== "true") {
          throw new ResourceInitError({ id, state: outputs, inputs: nowInputs, reasons: [message] });
        }
        return { id: idOf(live), state: outputs, inputs: nowInputs };
      });
    },

    async delete({ id, inputs, state, type, signal, timeoutSeconds }) {
      const known = Object.keys(inputs).length > 0 ? inputs : state;
      const kind = typeMeta(known) ?? typeOfToken(type);
      await explained(known, id, async () => {
        const { cluster, deleteUnreachable } = configured();
        if (cluster === undefined) throw new Error("the provider's kubeconfig is not known");
        try {
          await cluster.delete(
            { ...kind, ...parseId(id) },
            {
              cascade: annotationOf(known, "pulumi.com/deletionPropagationPolicy") ?? "foreground",
              timeoutSeconds: timeoutSeconds ?? defaultTimeoutSeconds,
              signal,
            },
          );
        } catch (error) {
          if (!(deleteUnreachable && error instanceof KubectlError && error.unreachable)) throw error;
        }
      });
    },

    invoke: async (call) => invoke(call),
  };

  function applyOptions(call: CreateCall | UpdateCall, fieldManager: string) {
    const forced = annotationOf(call.inputs, "pulumi.com/patchForce") === "true";
    return {
      fieldManager,
      force: forced || configured().patchForce,
      dryRun: call.preview,
      signal: call.signal,
      log: call.log,
    };
  }

  /** The outputs once the object is ready, unless its annotation says not to wait. */
  async function awaited(
    call: CreateCall | UpdateCall,
    live: KubernetesObject,
    fieldManager: string,
  ): Promise<Properties> {
    const { cluster } = configured();
    if (cluster === undefined || annotationOf(call.inputs, "pulumi.com/skipAwait") === "true") {
      return outputsOf(live, call.inputs, fieldManager);
    }
    const annotated = Number(annotationOf(call.inputs, "pulumi.com/timeoutSeconds") ?? Number.NaN);
    const timeoutSeconds =
      call.timeoutSeconds ?? (Number.isFinite(annotated) ? annotated : defaultTimeoutSeconds);
    try {
      const settled = await cluster.ready(live, { timeoutSeconds, signal: call.signal, log: call.log });
      return outputsOf(settled, call.inputs, fieldManager);
    } catch (error) {
      if (!(error instanceof NotReadyError)) throw error;
      const about = displayName(call.inputs, call.name);
      throw new ResourceInitError({
        id: idOf(error.live),
        state: outputsOf(error.live, call.inputs, fieldManager),
        inputs: call.inputs,
        reasons: error.reasons.map((reason) => `${about}: ${reason}`),
      });
    }
  }
}

function typeFailures(inputs: Properties, type: string): CheckFailure[] {
  if (/(Patch|List)$/.test(type.split(":").at(-1) ?? "")) {
    return [{ property: "kind", reason: `the stand-in of the kubernetes plugin has no resource ${type}` }];
  }
  return ["apiVersion", "kind"]
    .filter((property) => typeof inputs[property] !== "string")
    .map((property) => ({ property, reason: `is missing, a Kubernetes object needs one (${type})` }));
}

/** `kubernetes:apps/v1:DaemonSet`, and `kubernetes:core/v1:Namespace` of the group without a name. */
function typeOfToken(type: string): { apiVersion: string; kind: string } {
  const [, apiVersion = "", kind = ""] = type.split(":");
  return { apiVersion: apiVersion.replace(/^core\//, ""), kind };
}

/** The object as the API server gets it. */
function manifest(inputs: Properties): KubernetesObject {
  return asWritten(revealAll(inputs) as Record<string, PlainValue>) as KubernetesObject;
}

/**
 * As a manifest has it: a field without a value is an absent one, and the extensions of a schema have dashes, which the SDK's
 * property names cannot (`x_kubernetes_preserve_unknown_fields`).
 */
function asWritten(value: PlainValue): PlainValue {
  if (Array.isArray(value)) return value.map(asWritten);
  if (!isObject(value)) return value;
  const entries = Object.entries(value as Record<string, PlainValue>).filter(([, field]) => field !== null);
  return Object.fromEntries(
    entries.map(([key, field]) => [
      key.startsWith("x_kubernetes_") ? key.replaceAll("_", "-") : key,
      asWritten(field),
    ]),
  );
}

function referenceOf(inputs: Properties) {
  const type = typeMeta(inputs);
  const name = metadataText(inputs, "name");
  if (type === undefined || name === undefined)
    throw new Error("metadata.name: is missing, a name is needed");
  const namespace = metadataText(inputs, "namespace");
  return { ...type, name, ...(namespace === undefined ? {} : { namespace }) };
}

/** What an object needs (its namespace, its kind, the API itself) may be a moment late. Not in a preview. */
async function withRetries<T>(preview: boolean, work: () => Promise<T>): Promise<T> {
  for (let pause = 500; ; pause *= 2) {
    try {
      return await work();
    } catch (error) {
      const passing = error instanceof KubectlError && (error.missing || error.unreachable);
      if (preview || !passing || pause > 8000) throw error;
      await sleep(pause);
    }
  }
}

/** An error that names the object, and nothing of what is secret in it. */
async function explained<T>(inputs: Properties, fallback: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof ResourceInitError || !(error instanceof Error)) throw error;
    const secrets = secretTexts(inputs).filter((text) => text.length >= 4);
    const hidden = [...secrets, ...secrets.map((text) => Buffer.from(text).toString("base64"))];
    const message = hidden.reduce((text, value) => text.replaceAll(value, "[secret]"), error.message);
    error.message = `${displayName(inputs, fallback)}: ${message}`;
    throw error;
  }
}
