/** The kinds of documents in a machine configuration besides the v1alpha1 one. */
import { documentKinds } from "./mergeRules.ts";

/** Supported by v1.13.9. Older releases support fewer. */
export const KINDS_UP_TO_1_13: ReadonlySet<string> = new Set(
  documentKinds("v1.13").filter((kind) => kind !== ""),
);

/** New in v1.14. */
export const KINDS_SINCE_1_14: ReadonlySet<string> = new Set(
  documentKinds("v1.14").filter((kind) => kind !== "" && !KINDS_UP_TO_1_13.has(kind)),
);

/** Rejected on workers (v1.14.1 container/validate.go). */
export const CONTROL_PLANE_KINDS: ReadonlySet<string> = new Set(
  `KubeAPIServerConfig KubeAdmissionControlConfig KubeAggregatorCAConfig KubeAuditPolicyConfig KubeAuthenticationConfig
   KubeAuthorizerConfig KubeControllerManagerConfig KubeCoreDNSConfig KubeEtcdEncryptionConfig KubeFlannelCNIConfig
   KubeProxyConfig KubeSchedulerConfig KubeServiceAccountConfig KubeTalosAPIAccessConfig`.split(/\s+/),
);
