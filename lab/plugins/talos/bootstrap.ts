import { withSecretClientKey } from "./handler.ts";
import type { ResourceHandler } from "./handler.ts";
import { readTarget, operationTimeoutMs, withNode } from "./node.ts";
import { retryUntil } from "./retry.ts";
import type { Properties } from "../values.ts";

// talos:machine/bootstrap:Bootstrap. Like the published provider, it retries until the machine accepts it, even if
// the cluster is already bootstrapped (AlreadyExists): then every attempt fails until the timeout.

const ID = "machine_bootstrap";

export const bootstrapResource: ResourceHandler = {
  check({ inputs }) {
    const failures = inputs["node"] === undefined ? [{ property: "node", reason: "is required" }] : [];
    const given = ["clientConfiguration", "clientConfigurationWo"].filter(
      (key) => inputs[key] !== undefined,
    ).length;
    if (given !== 1) {
      const reason = "exactly one of clientConfiguration and clientConfigurationWo must be set";
      failures.push({ property: "clientConfiguration", reason });
    }
    return { inputs, failures };
  },

  async create({ inputs, preview, signal, log, timeoutSeconds }) {
    const state = stateOf(inputs);
    if (preview) {
      return { id: "", state };
    }
    const target = readTarget(inputs);
    const timeoutMs = operationTimeoutMs(inputs, "create", timeoutSeconds);
    await withNode(target, signal, (node) =>
      retryUntil({ what: `bootstrap etcd on node ${target.node}`, timeoutMs, signal, log }, (remaining) =>
        node.secure(["bootstrap"], remaining),
      ),
    );
    return { id: ID, state };
  },

  /** A cluster is bootstrapped once: a change of the inputs is only stored. */
  async update({ inputs }) {
    return stateOf(inputs);
  },
};

function stateOf(inputs: Properties): Properties {
  const { clientConfigurationWo: _writeOnly, ...kept } = inputs;
  return { ...withSecretClientKey(kept), endpoint: inputs["endpoint"] ?? inputs["node"] };
}
