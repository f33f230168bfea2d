import { coded } from "../talos/errorCodes.ts";
import { createHash } from "node:crypto";
import { canonicalJson } from "../talos/values.ts";
import { hasUnknown, wrap, type Properties, type Unwrapped } from "./secrets.ts";
import { alwaysSecret } from "./state.ts";

/** What every node of a cluster is given and only a deployment reads: the kubeconfig, and the list of those that share a budget. */
const sharedProperties = ["kubeconfig", "rollout"] as const;

/**
 * Keeps what is the same for many nodes out of their state: there it is a digest. In every deployment the engine has the program's own values checked before it creates or
 * updates the resource, in the same process, so what the digest stands for is here by then. It decides nothing: a digest stands for one value alone, and without
 * the value there is no upgrade.
 */
export class SharedInputs {
  readonly #values = new Map<string, unknown>();

  /**
   * The inputs for the state.
   * @param marked the inputs as the engine is to have them, secrets in their wrapping
   * @param plain the same without it
   */
  digestShared(marked: Properties, { values: plain, secrets }: Unwrapped): Properties {
    const kept = { ...marked };
    const isSecret = (key: string): boolean => secrets.has(key) || alwaysSecret.includes(key);
    for (const key of sharedProperties) {
      const value = plain[key];
      if (value === undefined || hasUnknown(value)) continue;
      const digest = `sha256:${createHash("sha256").update(canonicalJson(value)).digest("base64url")}`;
      this.#values.set(digest, value);
      // Of the same type as the value, for programs that have types.
      const mark = typeof value === "string" ? digest : { digest };
      Object.assign(kept, wrap({ [key]: mark }, isSecret(key) ? [key] : []));
    }
    return kept;
  }

  /** The inputs that a deployment works with: checked ones of this run, in place of what `keep` made of them. */
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
