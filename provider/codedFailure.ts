import { TalosError } from "../talos/api/errors.ts";
import { ConfigTextError } from "../talos/configTree.ts";
import { coded, type CodedText } from "../talos/errorCodes.ts";
import { VersionError } from "../talos/version.ts";
import { KubernetesError } from "./kubernetes.ts";

/** The message and code of an error, for errors that any call may throw. */
export function codedFailure(error: unknown): CodedText {
  if (error instanceof TalosError) return coded("talos-api", `${error.call}: ${error.detail}`);
  if (error instanceof KubernetesError)
    return coded(kubernetesErrorCode(error), `Kubernetes: ${error.message}`);
  if (error instanceof ConfigTextError)
    return coded("config-invalid", `the machine configuration: ${error.message}`);
  if (error instanceof VersionError) return coded("release-unknown", error.message);
  return coded(
    "unexpected",
    `an unexpected error: ${error instanceof Error ? error.message : String(error)}`,
  );
}

export function kubernetesErrorCode({ transient }: KubernetesError) {
  return transient ? "kubernetes-unreachable" : "kubernetes-access";
}

/** What to do after an unforeseen error. */
export function reportHint(error: unknown): string {
  const foreseen = [TalosError, KubernetesError, ConfigTextError, VersionError];
  return foreseen.some((one) => error instanceof one) ? "" : " If it happens again, please report it.";
}
