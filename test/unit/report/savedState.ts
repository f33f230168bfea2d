import { canary, schematicId, secret, urn } from "./savedPreview.ts";

/** A saved `pulumi stack export` of a stack whose nodes were upgraded. */

const stepSeconds: Record<string, number> = {
  inspect: 1.2,
  "settled?": 0,
  guard: 2.4,
  pull: 14,
  drain: 41,
  install: 38,
  reboot: 96,
  verify: 12,
  uncordon: 3.5,
};

export interface UpgradedNode {
  name: string;
  role?: "controlplane" | "worker";
  /** Seconds after the start; undefined for a node that was never upgraded. */
  begun?: number;
  /** The step that fails. */
  failedStep?: string;
  reason?: string;
  /** Factor by which it is slower than the others. */
  slow?: number;
  /** A later run resumed after this many seconds. */
  resumedAfter?: number;
  from?: string;
  to?: string;
  running?: string;
  initErrors?: string[];
}

const start = Date.parse("2026-11-21T02:10:00Z");

function timelineOf(node: UpgradedNode) {
  const { begun = 0, failedStep, reason, slow = 1, resumedAfter, from = "v1.12.7", to = "v1.13.9" } = node;
  const steps: { name: string; started: string; seconds: number }[] = [];
  let at = start + begun * 1000;
  const add = (name: string, seconds: number) => {
    steps.push({ name, started: new Date(at).toISOString(), seconds });
    at += seconds * 1000;
  };
  for (const [name, seconds] of Object.entries(stepSeconds)) {
    add(name, seconds * slow);
    if (name === failedStep) break;
  }
  if (resumedAfter !== undefined) {
    at += resumedAfter * 1000;
    for (const name of ["inspect", "settled?", "verify", "uncordon"]) add(name, stepSeconds[name] ?? 0);
  }
  const failed = failedStep !== undefined && resumedAfter === undefined;
  return {
    from: { version: from, schematicId },
    to: { version: to, schematicId, image: `factory.talos.dev/metal-installer/${schematicId}:${to}` },
    started: steps[0]?.started,
    seconds: Math.round(steps.reduce((sum, { seconds }) => sum + seconds, 0) * 100) / 100,
    ended: failed ? "failed" : "upgraded",
    ...(failed ? { failedStep, reason: reason ?? `step "${failedStep}": it did not come back.` } : {}),
    steps,
  };
}

/** The seconds that a node of normal speed takes. */
export const nodeSeconds = Object.values(stepSeconds).reduce((sum, seconds) => sum + seconds, 0);

/** @param hops earlier upgrades of these nodes, as the preflight stores them */
export function savedState(nodes: readonly UpgradedNode[], hops: readonly UpgradedNode[] = []): unknown {
  return {
    version: 3,
    deployment: {
      resources: [
        { urn: urn("pulumi:pulumi:Stack", "talos-iscsi-prod"), type: "pulumi:pulumi:Stack" },
        {
          urn: urn("talos-iscsi:index:RollingUpgrade$talos-node:index:RolloutPreflight", "upgrade-preflight"),
          type: "talos-node:index:RolloutPreflight",
          outputs: {
            clientConfiguration: secret(canary),
            ...(hops.length === 0
              ? {}
              : { hopsTaken: hops.map((node) => ({ name: node.name, timeline: timelineOf(node) })) }),
          },
        },
        ...nodes.map((node, index) => ({
          urn: urn("talos-iscsi:index:RollingUpgrade$talos-node:index:NodeUpgrade", `upgrade-${node.name}`),
          type: "talos-node:index:NodeUpgrade",
          outputs: {
            name: node.name,
            node: `10.10.0.${index + 11}`,
            role: node.role ?? "worker",
            runningVersion: node.running ?? (node.failedStep === undefined ? "v1.13.9" : "v1.12.7"),
            clientConfiguration: secret(canary),
            kubeconfig: canary,
            ...(node.begun === undefined ? {} : { timeline: timelineOf(node) }),
          },
          ...(node.initErrors === undefined ? {} : { initErrors: node.initErrors }),
        })),
      ],
    },
  };
}
