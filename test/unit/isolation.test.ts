import { describe, expect, it } from "vitest";
import { csiProblems } from "../../components/csi/csiProblems.ts";
import { parseSettings } from "../../config.ts";
import { isolatesWorkloads } from "../../settings/isolation.ts";
import type { ClusterSettings } from "../../settings/schema.ts";
import { baseShape } from "../../settings/schema.ts";

const off = { apiVersion: "v1alpha1", kind: "SecurityProfileConfig", workloadIsolation: false };
const on = "apiVersion: v1alpha1\nkind: SecurityProfileConfig\nworkloadIsolation: true\n";

function cluster(change: object = {}, worker: object = {}): ClusterSettings {
  return baseShape.cluster.parse({
    name: "dev",
    endpoint: "https://10.0.0.10:6443",
    nodes: [
      { name: "cp1", address: "10.0.0.11", role: "controlplane" },
      { name: "w1", address: "10.0.0.21", role: "worker", ...worker },
    ],
    ...change,
  });
}

describe("workload isolation", () => {
  it.each([
    ["v1.13", {}, {}, false],
    ["v1.14", {}, {}, true],
    ["v1.14", { patches: { all: [off] } }, {}, false],
    ["v1.14", { documents: { all: [off] } }, {}, false],
    ["v1.14", { patches: { worker: [off] } }, {}, true],
    ["v1.14", { patches: { all: [off] } }, { patches: [on] }, true],
    ["v1.14", { patches: { all: [{ ...off, $patch: "delete" }] } }, {}, false],
  ])("of contract %s with %j and a worker with %j: %s", (contract, change, worker, isolated) => {
    expect(isolatesWorkloads(cluster(change, worker), contract)).toBe(isolated);
  });

  it("causes an error with two options if a driver enters iscsid", () => {
    const { joviandss } = parseSettings({
      talosVersion: "v1.13.9",
      cluster: {
        name: "dev",
        endpoint: "https://10.0.0.10:6443",
        nodes: [{ name: "cp1", address: "10.0.0.11", role: "controlplane" }],
      },
      joviandss: {
        image: "docker.io/opene/joviandss-csi:v1.0",
        endpoint: { addresses: ["192.168.0.100"], user: "admin", password: "x" },
        iscsi: { addresses: ["192.168.0.100"] },
        pools: [{ name: "Pool-0" }],
        iscsiadm: { strategy: "nsenter" },
      },
    });
    const [problem] = csiProblems({ joviandss }, { workloadIsolation: true });
    expect(problem?.path).toBe("joviandss.iscsiadm.strategy");
    expect(problem?.reason).toMatch(/Use chroot or, if.*workloadIsolation: false/);
  });
});
