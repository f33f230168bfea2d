import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { versionChangeVerb, type NodeFacts } from "../../../provider/facts.ts";
import { etcdFindings } from "../../../provider/guards/etcd.ts";
import { releaseFindings } from "../../../provider/guards/release.ts";
import { removeMemberCommand } from "../../../provider/talosctl.ts";
import { timelineAfter } from "../../../provider/timeline.ts";
import { hintForUnanswered } from "../../../provider/unansweredHint.ts";
import { describeNodeAfterFailure } from "../../../provider/nodeAfterFailure.ts";

const facts = (change: Partial<NodeFacts> = {}): NodeFacts => ({
  version: "v1.13.7",
  schematicId: undefined,
  extensions: [],
  services: [],
  machine: { stage: "running", ready: true, unmet: [] },
  bootId: "one",
  kubernetesNode: undefined,
  initiatorName: undefined,
  files: [],
  ...change,
});

describe("commands in messages", () => {
  it("name the node that they are for", () => {
    const provider = join(import.meta.dirname, "..", "..", "..", "provider");
    const files = readdirSync(provider, { recursive: true, encoding: "utf8" }).filter((file) =>
      file.endsWith(".ts"),
    );
    expect(files.length).toBeGreaterThan(50);
    const nameless = files.flatMap((file) => {
      const code = readFileSync(join(provider, file), "utf8").replace(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, "");
      return [...code.matchAll(/`talosctl ([^`]*)`/g)]
        .filter(([command]) => !command.includes("--nodes"))
        .map(([command]) => `${file}: ${command}`);
    });
    expect(nameless).toEqual([]);
  });

  it("name etcd members in hexadecimal, as talosctl does", () => {
    expect(removeMemberCommand("17022713648591188760", "10.0.0.11")).toBe(
      `\`talosctl etcd remove-member ${17022713648591188760n.toString(16)} --nodes 10.0.0.11\``,
    );
    expect(removeMemberCommand("255", "10.0.0.11")).toContain("remove-member 00000000000000ff ");
  });
});

describe("the state of a node after a failure", () => {
  const before = facts();
  const told = (after: NodeFacts | undefined, installed = false, committed = false): string =>
    describeNodeAfterFailure({ before, after, installed, committed });

  it.each<[string, string, RegExp]>([
    ["nothing happened", told(facts()), /^It has not rebooted, and runs v1\.13\.7 with no schematic\.$/],
    [
      "installed",
      told(facts(), true),
      /has not rebooted.*The new image is installed and starts with the next reboot/,
    ],
    [
      "rebooted by somebody",
      told(facts({ bootId: "two" }), true),
      /^It has rebooted, and runs v1\.13\.7 with no schematic\.$/,
    ],
    ["away", told(undefined), /It is unknown whether it has rebooted/],
    ["away after the request", told(undefined, true, true), /may be rebooting into the new image/],
    [
      "on its way down",
      told(facts({ machine: { stage: "rebooting", ready: true, unmet: [] } }), true, true),
      /has not rebooted, and runs v1\.13\.7 with no schematic, and is rebooting/,
    ],
  ])("%s", (_case, text, says) => {
    expect(text).toMatch(says);
  });
});

describe("words for what was done", () => {
  it.each([
    ["v1.13.7", "v1.13.9", "upgraded"],
    ["v1.13.9", "v1.13.7", "rolled back"],
    ["v1.13.9", "v1.13.9", "changed"],
    ["v1.13.9", "my-build", "changed"],
  ])("%s to %s: %s", (from, to, word) => {
    expect(versionChangeVerb(from, to)).toBe(word);
  });

  it("a cancelled upgrade has not failed", () => {
    const image = { version: "v1.13.7", schematicId: "" };
    const run = (cancelled: boolean): unknown =>
      timelineAfter(
        {
          from: image,
          to: { ...image, image: "x" },
          steps: [{ name: "drain", startedAt: 0, ms: 1 }],
          failure: { step: "drain", reason: "r", cancelled },
        },
        undefined,
      );
    expect(run(true)).toMatchObject({ ended: "cancelled", failedStep: "drain" });
    expect(run(false)).toMatchObject({ ended: "failed", failedStep: "drain" });
  });

  it("advice never names the release that is being left", () => {
    const wanted = { talosVersion: "v1.13.8", extensions: ["siderolabs/iscsi-tools"], allowSkew: false };
    const [forward] = releaseFindings("v1.13.7", undefined, wanted);
    expect(forward?.hint).toBe("Use v1.13.9.");
    const [back] = releaseFindings("v1.13.9", undefined, wanted);
    expect(back?.hint).not.toMatch(/Use v1\.13\.9/);
    expect(back?.hint).toContain("is not older than the running one");
  });
});

describe("a control plane that does not answer", () => {
  const etcd = {
    memberId: "1",
    version: "3.6.12",
    storageVersion: "3.6.0",
    errors: [],
    leader: "1",
    learner: false,
  };
  const findings = (error: string): string =>
    etcdFindings({
      self: "10.0.0.11",
      members: [{ id: "1", hostname: "cp1", addresses: ["10.0.0.11"], learner: false }],
      alarms: [],
      imageServices: [],
      peers: [
        { address: "10.0.0.11", machine: facts().machine, etcd: etcd as never },
        { address: "10.0.0.12", error },
      ],
    })
      .map(({ hint }) => hint)
      .join(" ");

  it("is not reported as switched off if its clock is wrong", () => {
    expect(findings("certificate has expired (CERT_HAS_EXPIRED)")).toMatch(/The node is up.*clocks/);
    expect(findings("certificate has expired (CERT_HAS_EXPIRED)")).not.toMatch(/[Bb]ring|is on\b/);
    expect(findings("connect ECONNREFUSED")).toMatch(/Check that the node is on/);
    expect(hintForUnanswered("certificate is not yet valid")).toMatch(/The node is up/);
  });
});
