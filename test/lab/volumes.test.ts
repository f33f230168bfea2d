import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { storageFaultCatalogue, type StorageFaultId } from "../../lab/storageFaults.ts";
import { nightly } from "./nightly.ts";
import { RolloutLab } from "./rollout.ts";

/**
 * Rollouts with the real engine, over nodes with volumes and with a gate in the settings. The API server, the scheduler and the attach/detach controller are
 * real; the lab simulates the attacher, the kubelets and the iSCSI sessions.
 */

let lab: RolloutLab;

beforeAll(async () => {
  lab = await RolloutLab.start(1, ["drain: { timeout: 5s }", "storageGate: { timeout: 6s }"]);
  lab.want("v1.13.5");
});
afterAll(async () => lab?.project.remove());
afterEach(() => lab.lift());

const struck: string[] = [];
async function set(node: string, fault: StorageFaultId): Promise<void> {
  struck.push(fault);
  await lab.fault({ node, fault });
}

const gate = {
  ...{ apiVersion: "lab.example/v1", kind: "Array", name: "first", timeout: "1s" },
  ...{ jsonPath: "{.status.health}", value: "ok" },
};
const array = (health: string): object => ({
  ...{ apiVersion: gate.apiVersion, kind: "Array", metadata: { name: "first" } },
  status: { health },
});
const crd = {
  ...{ apiVersion: "apiextensions.k8s.io/v1", kind: "CustomResourceDefinition" },
  metadata: { name: "arrays.lab.example" },
  spec: {
    ...{ group: "lab.example", scope: "Cluster", names: { kind: "Array", plural: "arrays" } },
    versions: [
      {
        ...{ name: "v1", served: true, storage: true },
        schema: { openAPIV3Schema: { type: "object", "x-kubernetes-preserve-unknown-fields": true } },
      },
    ],
  },
};

describe("a gate on a custom resource", () => {
  test("with an invalid JSONPath is a settings error", async () => {
    lab.gates({ ...gate, jsonPath: "{.status.[" });
    const { code, text } = await lab.project.lab("preview");
    expect(code, text.slice(-3_000)).toBe(1);
    expect(text).toMatch(/upgrade\.gates\[0\]\.jsonPath.*is no JSONPath/);
  });

  test("shows in the preview, like a missing kind; up waits for it and stops the rollout before the first node", async () => {
    await lab.project.apply(crd);
    await lab.project.tool("kubectl", "wait", "--for=condition=Established", "crd/arrays.lab.example");
    await lab.project.apply(array("degraded"));
    lab.gates(gate, { ...gate, kind: "Shelf" });
    const { code, text } = await lab.project.lab("up");
    expect(code, text.slice(-3_000)).toBe(1);
    const closed = 'Array first: {.status.health} is "degraded", not "ok"';
    // Even in the first preview, when the stack has no kubeconfig yet.
    expect(text).toContain(`upgrade.gates[0]: ${closed} [upgrade-gate]`);
    expect(text).toContain(
      "upgrade.gates[1]: Shelf first cannot be read: the cluster has no kind Shelf in lab.example/v1",
    );
    expect(text).toContain(`${closed} (upgrade.gates[0], waited 1`);
    expect(Object.values(await lab.upgrades())).toEqual([0, 0, 0, 0, 0]);
    await lab.project.apply(array("ok"));
    lab.gates(gate);
  });
});

describe("volumes on the workers", () => {
  test("session-leaks on w1 is reported and tolerated, and its pod comes back; volume-never-detaches on w2 stops the rollout before the reboot of w2", async () => {
    const before = await boots();
    await set("w1", "session-leaks");
    await set("w2", "volume-never-detaches");
    const { code, text } = await lab.up();
    expect(code, text.slice(-3_000)).toBe(1);
    expect(text).toMatch(
      /reboots with what a driver left behind: iSCSI session \d+ \(target iqn\.2019-04\.com\.example\.lab:session-leaks-on-w1, portal 127\.0\.0\.1:3260\)/,
    );
    expect(text).toMatch(
      /w2 \([\d.]+\), step "drain": volumes had not left after 5 s: volume volume-never-detaches-on-w2 \(claim default\/volume-never-detaches-on-w2, driver iscsi\.csi\.joviandss\.open-e\.com/,
    );
    expect(await lab.upgrades()).toEqual({ cp1: 1, cp2: 1, cp3: 1, w1: 1, w2: 0 });
    expect((await boots())["w2"]).toBe(before["w2"]);
    expect(await lab.cordoned()).toEqual([]);
    expect(await phaseOf("session-leaks-on-w1")).toBe("Running");
  });

  nightly(
    "volume-in-use on w2 moves to another node; volume-attach-error on w2 stops the rollout after the reboot of w2",
    async () => {
      const before = await boots();
      await set("w2", "volume-in-use");
      await set("w2", "volume-attach-error");
      const { code, text } = await lab.up();
      expect(code, text.slice(-3_000)).toBe(1);
      expect(text).toMatch(
        /w2 \([\d.]+\), step "storage": storage is not healthy after 6 s: volume volume-attach-error-on-w2 on w1: the array refuses the initiator; pod default\/volume-attach-error-on-w2-0/,
      );
      expect(text).not.toMatch(/step "storage": .*volume-in-use/);
      expect(await boots()).toEqual({ ...before, w2: (before["w2"] ?? 0) + 1 });
      expect(await lab.cordoned()).toEqual([]);
      expect(await phaseOf("volume-in-use-on-w2")).toBe("Running");
      expect(await phaseOf("volume-attach-error-on-w2")).toBe("Pending");
    },
  );

  nightly("once storage is healthy, up finishes without another reboot", async () => {
    const before = await boots();
    await lab.finish();
    expect(await boots()).toEqual(before);
    expect(struck.sort()).toEqual(storageFaultCatalogue.map(({ id }) => id).sort());
  });
});

async function boots(): Promise<Record<string, number>> {
  return Object.fromEntries((await lab.nodes()).map(({ name, boots: count }) => [name, count]));
}

async function phaseOf(set: string): Promise<string> {
  return lab.project.tool("kubectl", "get", "pod", `${set}-0`, "--output", "jsonpath={.status.phase}");
}
