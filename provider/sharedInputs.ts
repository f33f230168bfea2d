import { coded } from "../talos/errorCodes.ts";
import { createHash } from "node:crypto";
import { canonicalJson } from "../talos/values.ts";
import { hasUnknown, wrap, type Properties, type Unwrapped } from "./secrets.ts";
import { alwaysSecret } from "./state.ts";

/** Inputs that every node of a cluster gets and only a deployment reads: the kubeconfig, and the list of nodes that share a budget. */
const sharedProperties = ["kubeconfig", "rollout"] as const;

/**
 * Keeps values that many nodes share out of their state, which holds a digest instead. In every deployment the engine checks the program's own values before it
 * creates or updates the resource, in the same process, so the digest's value is present by then. A digest decides nothing: it stands for exactly one value,
 * and without the value there is no upgrade.
 */
export class SharedInputs {
  readonly #values = new Map<string, unknown>();

  /**
   * The inputs for the state.
   * @param marked the inputs for the engine, with secrets wrapped
   * @param plain the same, unwrapped
   */
  digestShared(marked: Properties, { values: plain, secrets }: Unwrapped): Properties {
    const kept = { ...marked };
    const isSecret = (key: string): boolean => secrets.has(key) || alwaysSecret.includes(key);
    for (const key of sharedProperties) {
      const value = plain[key];
      if (value === undefined || hasUnknown(value)) continue;
      const digest = `sha256:${createHash("sha256").update(canonicalJson(value)).digest("base64url")}`;
      this.#values.set(digest, value);
      // The same type as the value, for typed programs.
      const mark = typeof value === "string" ? digest : { digest };
      Object.assign(kept, wrap({ [key]: mark }, isSecret(key) ? [key] : []));
    }
    return kept;
  }

  /** The inputs for a deployment: this run's checked values in place of the digests from `digestShared`. */
  restoreShared(kept: Properties): Properties {
    const whole = { ...kept };
    for (const key of sharedProperties) {
      const digest = digestIn(kept[key]);
      if (digest === undefined) continue;
      if (!this.#values.has(digest))
        throw new Error(
          coded(
            "unexpected",
            `${String(kept["name"])} (${String(kept["node"])}): the node was not touched, since its input "${key}" was not checked in this run`,
            "Run `pulumi up` again; if that does not help, please report it.",
          ),
        );
      whole[key] = this.#values.get(digest);
    }
    return whole;
  }
}

function digestIn(value: unknown): string | undefined {
  const mark = typeof value === "object" && value !== null && "digest" in value ? value.digest : value;
  return typeof mark === "string" && /^sha256:[\w-]{43}$/.test(mark) ? mark : undefined;
}
