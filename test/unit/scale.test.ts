import { queryObjects } from "node:v8";
import * as pulumi from "@pulumi/pulumi";
import { expect, it } from "vitest";
import { declareCluster } from "../../components/iscsiCluster.ts";
import { parseSettings } from "../../config.ts";
import { gather, secretOnce } from "../../components/outputs.ts";
import { providers } from "./components/program.ts";
import { isSecret, record, valueOf, type Registered } from "./components/recorder.ts";

function settings(workers: number) {
  const nodes = Array.from({ length: workers + 3 }, (_, index) => ({
    name: index < 3 ? `cp${index + 1}` : `w${index - 2}`,
    address: `10.0.${1 + (index >> 7)}.${1 + (index & 127)}`,
    role: index < 3 ? "controlplane" : "worker",
  }));
  return parseSettings({
    talosVersion: "v1.13.9",
    kubernetesVersion: "v1.35.4",
    cluster: { name: "scale", endpoint: "https://10.0.0.10:6443", nodes },
  });
}

/** A cluster with this many workers: how many Outputs it creates, and what reaches the engine. */
async function declared(workers: number) {
  const { result, resources, calls } = await record(() => {
    const outputs = (): number => queryObjects(pulumi.Output as never, { format: "count" });
    const before = outputs();
    const cluster = declareCluster(settings(workers));
    return { cluster, made: outputs() - before };
  }, providers);
  return { ...result, resources, calls };
}

it("creates two resources and no call per node, and few Outputs besides the resources' own", async () => {
  const [few, many] = [await declared(4), await declared(14)];
  expect((many.resources.length - few.resources.length) / 10).toBe(2);
  expect(many.calls).toHaveLength(few.calls.length);
  const ofNode = ({ resources }: { resources: Registered[] }): Record<string, unknown>[] =>
    resources.filter(({ name }) => name.endsWith("-w4")).map(({ inputs }) => inputs);
  // One per property, given or only read, plus the URN and the ID of each resource.
  const outputsOfUpgrade = 9;
  const outputsOfConfiguration = 3;
  const properties = ofNode(many).reduce((sum, inputs) => sum + Object.keys(inputs).length, 0);
  const ofResources = properties + outputsOfUpgrade + outputsOfConfiguration + 4;
  expect((many.made - few.made) / 10 - ofResources).toBeLessThanOrEqual(10);
  // Except for the names in its budget, a node's inputs do not grow with the cluster.
  const sizes = [few, many].map((cluster) => {
    const own = ofNode(cluster).map((inputs) => ({ ...inputs, rollout: undefined }));
    expect(own.length).toBe(2);
    return JSON.stringify(own).length;
  });
  expect(sizes[1]).toBe(sizes[0]);
});

it("gathers Outputs like pulumi.all: secret or unknown as soon as one of them is", async () => {
  const { result } = await record(
    async () => {
      const unknown = pulumi.output<string>(pulumi.unknown as never);
      const secret = pulumi.secret("b");
      const applied: unknown[] = [];
      gather([pulumi.output("a"), unknown]).apply((values) => applied.push(values));
      return {
        both: await valueOf(gather([pulumi.output("a"), secret])),
        secrets: [
          await isSecret(gather([pulumi.output("a"), secret])),
          await isSecret(gather([pulumi.output("a")])),
        ],
        marked: await isSecret(secretOnce(pulumi.output("a"))),
        same: secretOnce(secretOnce(secret)) === secretOnce(secret),
        applied,
      };
    },
    { preview: true },
  );
  expect(result).toEqual({ both: ["a", "b"], secrets: [true, false], marked: true, same: true, applied: [] });
});
