import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { TalosNodeProvider } from "../../provider/plugin.ts";
import { SimulatedCluster, iscsiSchematicId } from "./simulatedCluster.ts";
import { realClock } from "../../provider/clock.ts";
import { defaultPatience } from "../../provider/context.ts";
import { connectTalos } from "../../talos/api/client.ts";

describe("a single node", () => {
  let cluster: SimulatedCluster;
  beforeAll(async () => {
    cluster = await SimulatedCluster.start({ subnet: "127.44.1" });
  });
  afterAll(async () => {
    await cluster.stop();
  });
  it("goes from 1.12 to 1.13", async () => {
    const lines: string[] = [];
    const provider = new TalosNodeProvider({
      talos: async () => connectTalos,
      connectKubernetes: async () => {
        throw new Error("no");
      },
      clock: realClock,
      patience: defaultPatience,
      statusOf: () => ({ status: (t) => lines.push(t), info: (t) => lines.push(`I ${t}`), warn: (t) => lines.push(`W ${t}`) }),
    });
    const begun = performance.now();
    const result = await provider.create("urn:pulumi:dev::p::talos-node:index:NodeUpgrade::cp1", {
      name: "cp1",
      node: "127.44.1.11",
      role: "controlplane",
      talosVersion: "v1.13.9",
      schematicId: iscsiSchematicId,
      image: cluster.image("v1.13.9"),
      extensions: ["iscsi-tools"],
      services: ["ext-iscsid"],
      files: ["/usr/local/sbin/iscsiadm"],
      controlPlanes: ["127.44.1.11"],
      clientConfiguration: { ...cluster.credentials },
      drain: { enabled: false },
      timeoutSeconds: 20,
    }).catch((e) => { console.log(lines); throw e; });
    console.log(performance.now() - begun, lines, result.outs.runningVersion);
    expect(cluster.node("cp1").snapshot().version).toBe("v1.13.9");
  });
});
