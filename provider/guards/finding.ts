import { coded, type CodedText, type ErrorCode } from "../../talos/errorCodes.ts";

/** Why a node must not be upgraded now. */
export interface Finding {
  code: ErrorCode;
  problem: string;
  /** What to do about it. */
  hint: string;
  /** True if it may pass by itself within seconds, such as an etcd that has just started. */
  mayPass: boolean;
  /** True if it may pass within minutes: something is on its way back, such as static pods after a change of the configuration. */
  recovers?: boolean;
  /** True for a kube-apiserver that is well and older than its manifest: a change that restarts nothing never shows, so it is only waited for a while. */
  restarting?: boolean;
  /** True for an etcd member on no known control plane: it may be one that this deployment takes out first. */
  stray?: boolean;
  /** True where the count of etcd's votes is what stands against it: a stray member counts in it. */
  votes?: boolean;
}

/** How long to wait for these to pass: no time at all where one of them never will. */
export function waitLimit(
  findings: readonly Finding[],
  { guardMs, recoveryMs }: { guardMs: number; recoveryMs: number },
): number {
  if (findings.some(({ mayPass }) => !mayPass)) return 0;
  return findings.every(({ recovers }) => recovers) ? recoveryMs : guardMs;
}

/** What was found, each with its code, in one sentence without its end. */
export function joinProblems(findings: readonly Pick<Finding, "code" | "problem">[]): CodedText {
  return findings.map(({ code, problem }) => coded(code, problem)).join("; ") as CodedText;
}

/** What to do about it, each thing once. */
export function joinHints(findings: readonly Pick<Finding, "hint">[]): string {
  return [...new Set(findings.map(({ hint }) => hint))].join(" ");
}
