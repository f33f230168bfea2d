import type { Problem } from "../components/csi/problems.ts";
import type { ErrorCode } from "../talos/errorCodes.ts";

/** By the path of the setting; the first match wins. */
const families: readonly (readonly [RegExp, ErrorCode])[] = [
  [/^approvedPlan/, "settings-plan"],
  [/(^|\.)(patches|documents|acceptDropped)\b/, "settings-patch"],
  [/^cluster\.secrets\b|\.(configFile|config)$|^strictSecrets/, "settings-secrets"],
  [/(^|\.)(talosVersion|talosContract|kubernetesVersion|releases)\b/, "settings-versions"],
  [/^images?\b/, "settings-image"],
  [/^(joviandss|synology|snapshotController|storageProbe)\b/, "settings-csi"],
  [/^upgrade\b/, "settings-upgrade"],
  [
    /(^|\.)(network|vip|endpoint|talosEndpoints|talosEndpoint|podSubnets|serviceSubnets)\b/,
    "settings-network",
  ],
  [/^cluster\.(nodes|pools)\b/, "settings-nodes"],
];

/** The error code of a problem with a setting. */
export function problemCode({ path, code }: Pick<Problem, "path" | "code">): ErrorCode {
  return code ?? families.find(([pattern]) => pattern.test(path))?.[1] ?? "settings";
}
