import * as pulumi from "@pulumi/pulumi";
import { beforeAll, describe, expect, it } from "vitest";
import { NodeUpgrade } from "../../../components/nodeUpgrade.ts";

interface Registered {
  type: string;
  name: string;
  inputs: Record<string, unknown>;
}

const registered: Registered[] = [];

beforeAll(async () => {
  await pulumi.runtime.setMocks({
    newResource: ({ type, name, inputs }) => {
      registered.push({ type, name, inputs: inputs as Record<string, unknown> });
      return {
        id: "10.0.0.11",
        state: { ...(inputs as object), runningVersion: "v1.13.9", initiatorName: "iqn.2017-11.dev.talos:1" },
      };
    },
    call: () => ({}),
  });
});

const valueOf = <T>(output: pulumi.Output<T>): Promise<T> =>
  new Promise((resolve) => void output.apply(resolve));

describe("the resource NodeUpgrade in a program", () => {
  it("passes its inputs under the plugin's token, with credentials as secrets, and returns what the node reports", async () => {
    const node = new NodeUpgrade("cp1", {
      name: "cp1",
      node: "10.0.0.11",
      role: "controlplane",
      talosVersion: "v1.13.9",
      schematicId: "c9078f94",
      image: "factory.talos.dev/metal-installer/c9078f94:v1.13.9",
      controlPlanes: ["10.0.0.11"],
      clientConfiguration: { caCertificate: "a", clientCertificate: "b", clientKey: "hunter2" },
      kubeconfig: "hunter2",
    });
    expect(await valueOf(node.runningVersion)).toBe("v1.13.9");
    expect(await valueOf(node.initiatorName)).toBe("iqn.2017-11.dev.talos:1");
    expect(registered).toMatchObject([{ type: "talos-node:index:NodeUpgrade", name: "cp1" }]);
    expect(Object.keys(registered[0]?.inputs ?? {}).sort()).toEqual([
      "clientConfiguration",
      "controlPlanes",
      "image",
      "kubeconfig",
      "name",
      "node",
      "role",
      "schematicId",
      "talosVersion",
    ]);
    const secrets = registered[0]?.inputs["clientConfiguration"];
    expect(pulumi.runtime.isRpcSecret(secrets)).toBe(true);
    expect(pulumi.runtime.isRpcSecret(registered[0]?.inputs["kubeconfig"])).toBe(true);
  });
});
