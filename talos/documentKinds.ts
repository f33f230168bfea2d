/** The kinds of documents a machine configuration can have beside the v1alpha1 one. */
import { documentKinds } from "./mergeRules.ts";

/** Known to v1.13.9. Older releases know fewer of them. */
export const KINDS_UP_TO_1_13: ReadonlySet<string> = new Set(
  documentKinds("v1.13").filter((kind) => kind !== ""),
);

/** New in v1.14. */
export const KINDS_SINCE_1_14: ReadonlySet<string> = new Set(
  documentKinds("v1.14").filter((kind) => kind !== "" && !KINDS_UP_TO_1_13.has(kind)),
);

/** Refused on workers (v1.14.1 container/validate.go). */
export const CONTROL_PLANE_KINDS: ReadonlySet<string> = new Set(
  `KubeAPIServerConfig KubeAdmissionControlConfig KubeAggregatorCAConfig KubeAuditPolicyConfig KubeAuthenticationConfig
   KubeAuthorizerConfig KubeControllerManagerConfig KubeCoreDNSConfig KubeEtcdEncryptionConfig KubeFlannelCNIConfig
   KubeProxyConfig KubeSchedulerConfig KubeServiceAccountConfig KubeTalosAPIAccessConfig`.split(/\s+/),
);
