import { coded, type CodedText, type ErrorCode } from "../../talos/errorCodes.ts";

/** Why a node must not be upgraded now. */
export interface Finding {
  code: ErrorCode;
  problem: string;
  /** What to do about it. */
  hint: string;
  /** True if it may clear by itself within seconds, such as an etcd that has just started. */
  mayPass: boolean;
  /** True if it may clear within minutes: something is coming back, such as static pods after a configuration change. */
  recovers?: boolean;
  /** True for a healthy kube-apiserver that is older than its manifest: a change that restarts nothing never shows there, so the wait for it is limited. */
  restarting?: boolean;
  /** True for an etcd member on no known control plane: this deployment may remove it first. */
  stray?: boolean;
  /** True if etcd's vote count blocks: a stray member is part of that count. */
  votes?: boolean;
}

/** How long to wait for these to clear: zero if one of them never will. */
export function waitLimit(
  findings: readonly Finding[],
  { guardMs, recoveryMs }: { guardMs: number; recoveryMs: number },
): number {
  if (findings.some(({ mayPass }) => !mayPass)) return 0;
  return findings.every(({ recovers }) => recovers) ? recoveryMs : guardMs;
}

/** The problems with their codes, in one sentence without the final period. */
export function joinProblems(findings: readonly Pick<Finding, "code" | "problem">[]): CodedText {
  return findings.map(({ code, problem }) => coded(code, problem)).join("; ") as CodedText;
}

/** The hints, each once. */
export function joinHints(findings: readonly Pick<Finding, "hint">[]): string {
  return [...new Set(findings.map(({ hint }) => hint))].join(" ");
}
