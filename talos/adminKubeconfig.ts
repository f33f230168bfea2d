import { Configuration } from "./configuration.ts";
import { ConfigTextError, parseConfig } from "./configTree.ts";
import { mergeConfig, MergeError } from "./mergeConfig.ts";
import { durationText } from "./scalars.ts";
import { skeletonConfig } from "./skeleton.ts";

/** The configuration of the control plane that issues the kubeconfig. */
interface Issuer {
  /** Its configuration file. Absent: one is generated. */
  readonly base?: string | undefined;
  readonly contract: string;
  readonly patches: readonly string[];
}

const daySeconds = 24 * 3600;

/**
 * How long before it expires the certificate of the admin kubeconfig is renewed, a Go duration: 60 days with renewed credentials, as for the talosconfig; by
 * default (undefined) the Talos provider waits until the last 30.
 */
export function kubeconfigRenewal(issuer: Issuer, renewCredentials: boolean): string | undefined {
  const lifetime = certificateSeconds(issuer);
  // A certificate that lives no longer would be renewed by every `up`, and no preview would be without changes.
  if (lifetime !== undefined && lifetime <= (renewCredentials ? 60 : 30) * daySeconds)
    return `${Math.ceil(lifetime / 2)}s`;
  return renewCredentials ? "1440h" : undefined;
}

/** Undefined if the configuration does not set it, or is unreadable, which other checks report. */
function certificateSeconds({ base, contract, patches }: Issuer): number | undefined {
  if (![base ?? "", ...patches].some((text) => text.includes("certLifetime"))) return undefined;
  const text = base ?? skeletonConfig(contract, "controlplane");
  if (text === undefined) return undefined;
  try {
    const merged = new Configuration(parseConfig(mergeConfig(text, patches)));
    const lifetime = merged.text("cluster", "adminKubeconfig", "certLifetime") ?? "";
    const seconds = Number.parseFloat(durationText(lifetime) ?? "");
    return seconds > 0 ? seconds : undefined;
  } catch (error) {
    if (error instanceof MergeError || error instanceof ConfigTextError) return undefined;
    throw error;
  }
}
