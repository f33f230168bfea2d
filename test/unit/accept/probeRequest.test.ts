import { describe, expect, it } from "vitest";
import { AcceptError } from "../../../accept/acceptError.ts";
import type { Pulumi } from "../../../accept/pulumiCommand.ts";
import { probeImage } from "../../../components/csi/sidecars.ts";
import { probeRequests } from "../../../probe/request.ts";

const probe = {
  type: "talos-node:index:StorageProbe",
  inputs: {
    kubeconfig: {
      "4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270",
      ciphertext: "v1:x",
    },
    storageClasses: [{ name: "joviandss-sc", driver: "jovian", accessMode: "ReadWriteOncePod" }],
    image: "registry.example.com/busybox:1",
    size: "2Gi",
    concurrency: 5,
    timeoutSeconds: 60,
    tolerations: [{ key: "a", operator: "Exists" }],
  },
};

/** A stack whose state has these resources. */
const stack =
  (...resources: object[]): Pulumi =>
  async () => ({
    code: 0,
    stdout: JSON.stringify({ deployment: { resources: [{ type: "pulumi:pulumi:Stack" }, ...resources] } }),
    stderr: "",
    seconds: 1,
  });

const classes = ["joviandss-sc", "synology-sc"];

describe("npm run storage:probe and npm run accept", () => {
  it("probe every class, with the settings of the stack's own probe or the defaults", async () => {
    const { storageClasses, kubeconfig: _, ...settings } = probe.inputs;
    expect(await probeRequests(stack(probe), classes, {})).toEqual([
      { ...settings, classes: storageClasses },
      {
        classes: [{ name: "synology-sc" }],
        image: probeImage,
        size: "1Gi",
        concurrency: 3,
        timeoutSeconds: 300,
        tolerations: [],
      },
    ]);
    expect(await probeRequests(stack(), [], {})).toEqual([]);
  });

  it("follow the command line", async () => {
    const options = { classes: ["joviandss-sc"], nodes: ["w1"], size: "1Gi", tolerate: ["b"] };
    expect(await probeRequests(stack(probe), classes, options)).toEqual([
      expect.objectContaining({
        classes: probe.inputs.storageClasses,
        nodes: ["w1"],
        size: "1Gi",
        tolerations: [...probe.inputs.tolerations, { key: "b", operator: "Exists" }],
      }) as unknown,
    ]);
  });

  it("refuse a class that the stack does not have", async () => {
    const request = probeRequests(stack(probe), classes, { classes: ["synolgy-sc"] });
    await expect(request).rejects.toThrow(AcceptError);
    await expect(request).rejects.toThrow(/synolgy-sc.*synology-sc/);
  });
});
