/**
 * The codes of errors and warnings, by area. A message carries its code in brackets, `[etcd-learner]`, and docs/troubleshooting.md has one row for each. Texts
 * may change between releases; codes may not.
 */
export const errorCodes = [
  // etcd and the control plane
  "apiserver-not-ready",
  "control-plane-down",
  "control-plane-not-ready",
  "etcd-alarm",
  "etcd-data-too-new",
  "etcd-downgrade",
  "etcd-downgrade-needs-snapshot",
  "etcd-downgrade-timeout",
  "etcd-errors",
  "etcd-former-member",
  "etcd-learner",
  "etcd-member-not-started",
  "etcd-no-leader",
  "etcd-not-a-member",
  "etcd-quorum",
  "etcd-skips-minor",
  "etcd-snapshot",
  "etcd-stale-members",
  "etcd-unknown-member",
  "etcd-unreachable",
  "etcd-version-unknown",
  // the release and the image
  "extension-incomplete",
  "extension-unavailable",
  "image-fallback",
  "image-missing-extension",
  "image-not-found",
  "image-wrong",
  "kernel-arguments",
  "kubernetes-release",
  "release-broken",
  "release-skew",
  "release-unknown",
  "secure-boot",
  // the node
  "boot-id-unknown",
  "install-busy",
  "install-failed",
  "install-interrupted",
  "install-pending",
  "install-unknown",
  "machine-not-ready",
  "node-access-denied",
  "node-certificate",
  "node-did-not-reboot",
  "node-did-not-return",
  "node-keeps-restarting",
  "node-name-taken",
  "node-not-ready",
  "node-taints",
  "node-unreachable",
  "pull-failed",
  "reboot-refused",
  "service-not-running",
  "talos-api",
  "upgrade-refused",
  // drains, storage, Kubernetes
  "drain-pods",
  "driver-in-use",
  "kubernetes-access",
  "kubernetes-unreachable",
  "node-not-in-kubernetes",
  "storage-not-back",
  "volumes-attached",
  "volumes-unknown",
  // the rollout
  "cancelled",
  "cluster-busy",
  "not-recovered",
  "plan-changed",
  "plan-not-approved",
  "plan-not-confirmed",
  "plan-unknown",
  "rollout-refused",
  "unexpected",
  "upgrade-gate",
  "upgrade-window",
  "workers-unavailable",
  // machine configurations
  "config-after-apply",
  "config-changed-by-hand",
  "config-drops",
  "config-invalid",
  "config-rejected",
  "config-staged",
  "config-unreadable",
  "contract-change",
  "contract-too-new",
  "drain-one-at-a-time",
  "drain-single-node",
  "encryption-keys",
  "hardware-missing",
  "iscsi-removal",
  "kubelet-volumes",
  "machine-reinstalled",
  // Kubernetes upgrades
  "kubernetes-downgrade",
  "kubernetes-image-tag",
  "kubernetes-manifest-owner",
  "kubernetes-not-running",
  "kubernetes-removed-apis",
  "kubernetes-skew",
  "kubernetes-step",
  // leaving nodes
  "control-planes-one-at-a-time",
  "etcd-member-left",
  "last-control-plane",
  "machine-unverified",
  "node-still-member",
  "node-still-ready",
  "other-node",
  "reset-failed",
  "same-machine",
  // credentials, images
  "certificate-expired",
  "certificate-expires",
  "import-unsupported",
  "renew-credentials",
  "role-change",
  "schematic-id",
  // settings and arguments
  "arguments",
  "inputs",
  "settings",
  "settings-csi",
  "settings-image",
  "settings-network",
  "settings-nodes",
  "settings-patch",
  "settings-plan",
  "settings-secrets",
  "plain-secret",
  "settings-upgrade",
  "settings-versions",
  "image-reference",
  "patch",
  "schematic",
  "secrets-file",
  // commands
  "accept",
  "doctor",
  "policy",
  "report",
  "storage-probe",
] as const;

export type ErrorCode = (typeof errorCodes)[number];

declare const carriesCode: unique symbol;

/** A text that contains its code. */
export type CodedText = string & { readonly [carriesCode]: true };

/**
 * `etcd member cp3 is a learner [etcd-learner]`
 * @param advice what to do about it, in sentences
 */
export function coded(code: ErrorCode, problem: string, advice?: string): CodedText {
  const text = `${problem.replace(/\.$/, "")} [${code}]`;
  return (advice === undefined ? text : `${text}. ${advice}`) as CodedText;
}

/** Wraps a coded text in other text. */
export function framed(before: string, text: CodedText, after: string): CodedText {
  return `${before}${text}${after}` as CodedText;
}

export function hasCode(text: string, ...codes: readonly ErrorCode[]): boolean {
  return codes.some((code) => text.includes(`[${code}]`));
}
