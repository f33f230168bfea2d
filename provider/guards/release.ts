import type { NodeUpgradeInputs } from "../../talos/inputs/nodeUpgrade.ts";
import type { ErrorCode } from "../../talos/errorCodes.ts";
import { findBadRelease } from "../../talos/extensions.ts";
import { describeSteps, stepsForBothUpgrades } from "../../talos/kubernetesSteps.ts";
import {
  kubernetesProblem,
  unknownReleaseReason,
  versionSkew,
  type VersionSkew,
} from "../../talos/releases.ts";
import { VersionError } from "../../talos/version.ts";
import { versionChangeVerb } from "../facts.ts";
import type { Finding } from "./finding.ts";

function skewHint({ direction, via }: VersionSkew): string {
  const next = "talosVersion to the next release on the way";
  return direction === "upgrade" && via.length > 0
    ? `Set upgrade.through: automatic to go through ${via.length === 1 ? "it" : "them"} in one \`pulumi up\` of all nodes, or ${next}`
    : `Set ${next}`;
}

/** Findings about the step from the running release to the desired one. */
export function releaseFindings(
  running: string,
  kubernetesVersion: string | undefined,
  wanted: Pick<NodeUpgradeInputs, "talosVersion" | "extensions" | "allowSkew" | "kubernetesVersion">,
): Finding[] {
  const findings: Finding[] = [];
  const refuse = (code: ErrorCode, problem: string, hint: string): void => {
    findings.push({ code, problem, hint, mayPass: false });
  };

  try {
    const unknown = unknownReleaseReason(wanted.talosVersion);
    // The settings refuse it too, but not for programs that use the components. Nothing below can judge it.
    if (unknown !== undefined) {
      refuse(
        "release-unknown",
        `${wanted.talosVersion} is ${unknown}`,
        "Set talosVersion to a release that this program knows.",
      );
      return findings;
    }
    const step = versionSkew(running, wanted.talosVersion);
    if (!step.allowed) refuse("release-skew", step.reason, `${skewHint(step)}.`);
    else if (!step.adjacent && !wanted.allowSkew) {
      refuse(
        "release-skew",
        step.reason,
        `${skewHint(step)}, or upgrade.allowSkew: true if you accept the risk.`,
      );
    }
  } catch (error) {
    if (!(error instanceof VersionError)) throw error;
    if (!wanted.allowSkew) {
      refuse(
        "release-skew",
        `the step from ${running} cannot be checked: ${error.message}`,
        "Set upgrade.allowSkew: true if you accept the risk.",
      );
    }
  }

  const bad = findBadRelease(wanted.talosVersion, wanted.extensions);
  if (bad !== undefined)
    refuse(
      "release-broken",
      `${bad.version} is a broken release: ${bad.reason} (${bad.source})`,
      // When going back from that very release, don't recommend it.
      versionChangeVerb(running, bad.instead) === "upgraded"
        ? `Use ${bad.instead}.`
        : `Choose another release to go back to: ${bad.instead}, the next one without the defect, is not older than the running one.`,
    );

  const unsupported =
    kubernetesVersion === undefined ? undefined : kubernetesProblem(wanted.talosVersion, kubernetesVersion);
  if (unsupported !== undefined) {
    const steps = stepsForBothUpgrades(
      { from: running, to: wanted.talosVersion },
      { from: kubernetesVersion ?? "", to: wanted.kubernetesVersion },
    );
    refuse(
      "kubernetes-release",
      unsupported,
      steps === undefined
        ? "Take two steps: first set only kubernetesVersion, to a release that both Talos releases support, and run `pulumi up`; then set talosVersion."
        : `In steps: ${describeSteps(steps)}.`,
    );
  }
  return findings;
}
