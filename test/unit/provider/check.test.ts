import { describe, expect, it } from "vitest";
import { checkNodeUpgrade } from "../../../provider/check.ts";
import { unknownValue } from "../../../talos/secrecy/engineValues.ts";

const good = {
  name: "cp1",
  node: "10.0.0.11",
  role: "controlplane",
  talosVersion: "v1.13.9",
  schematicId: "c9078f9419961640c712a8bf2bb9174933dfcf1da383fd8ea2b7dc21493f8bac",
  image: "factory.talos.dev/metal-installer/c9078f94:v1.13.9",
  controlPlanes: ["10.0.0.11"],
  clientConfiguration: { caCertificate: "Y2E=", clientCertificate: "Y3J0", clientKey: "hunter2" },
  kubeconfig: "apiVersion: v1",
};

describe("inputs of a NodeUpgrade", () => {
  it("are accepted if valid, with or without the optional ones", () => {
    expect(checkNodeUpgrade(good)).toEqual([]);
    expect(
      checkNodeUpgrade({
        ...good,
        endpoint: "lb.example.org:50000",
        extensions: ["iscsi-tools"],
        services: [],
        files: ["/x"],
        kubernetesVersion: "v1.35.4",
        prePull: false,
        drain: { enabled: true, timeoutSeconds: 60 },
        timeoutSeconds: 600,
        allowSkew: true,
      }),
    ).toEqual([]);
  });

  it.each<[string, unknown, RegExp]>([
    ["talosVersion", "1.13.9", /^\[talosVersion\] .*Did you mean "v1\.13\.9"\?/],
    [
      "schematicId",
      "c9078f",
      /^\[schematicId\] must be a schematic ID of 64 hexadecimal digits, not "c9078f"/,
    ],
    ["role", "master", /^\[role\] must be "controlplane" or "worker", not "master"/],
    ["node", "10.0.0.11:50000", /^\[node\] must be an address or a host name/],
    ["controlPlanes", "10.0.0.11", /^\[controlPlanes\] must be a list of strings/],
    [
      "controlPlanes",
      ["10.0.0.12"],
      /^\[controlPlanes\] must hold the address of every control plane.*"10\.0\.0\.11"/,
    ],
    ["timeoutSeconds", 0, /^\[timeoutSeconds\] must be a number of seconds greater than 0, not 0/],
    ["drain", { enable: true }, /^\[drain\] has unknown keys: enable; known keys: enabled, timeoutSeconds, /],
    ["drain", { leftoverSessions: "ignore" }, /^\[drain\] leftoverSessions must be "refuse" or "warn", not/],
    ["drain", { timeoutSeconds: "5m" }, /^\[drain\] timeoutSeconds must be a number of seconds/],
    ["allowSkew", "yes", /^\[allowSkew\] must be true or false, not "yes"/],
    ["image", "", /^\[image\] must be a non-empty string/],
    ["nodes", [], /^\[nodes\] is not an input of a NodeUpgrade/],
    [
      "clientConfiguration",
      { clientKey: "hunter2" },
      /^\[clientConfiguration\] must have .*; lacks caCertificate, clientCertificate$/,
    ],
  ])("a bad %s (%j) is reported by name", (property, value, says) => {
    const failures = checkNodeUpgrade({ ...good, [property]: value });
    expect(failures).toEqual([{ property, reason: expect.stringMatching(says) as string }]);
  });

  it("are reported without showing credentials", () => {
    const failures = checkNodeUpgrade({
      ...good,
      clientConfiguration: "hunter2",
      kubeconfig: { users: "hunter2" },
    });
    expect(failures).toHaveLength(2);
    expect(JSON.stringify(failures)).not.toContain("hunter2");
  });

  it("are all listed if missing", () => {
    expect(checkNodeUpgrade({}).map(({ property }) => property)).toEqual([
      "name",
      "node",
      "role",
      "talosVersion",
      "schematicId",
      "image",
      "controlPlanes",
      "clientConfiguration",
    ]);
  });

  it("must include a kubeconfig unless the drain is off", () => {
    const { kubeconfig: _, ...without } = good;
    expect(checkNodeUpgrade(without)[0]?.reason).toMatch(/^\[kubeconfig\] is needed to drain the node/);
    expect(checkNodeUpgrade({ ...without, drain: { enabled: false } })).toEqual([]);
  });

  it("may be unknown until the deployment", () => {
    const unknown = { ...good, schematicId: unknownValue, image: unknownValue, kubeconfig: unknownValue };
    expect(checkNodeUpgrade({ ...unknown, clientConfiguration: { clientKey: unknownValue } })).toEqual([]);
    expect(checkNodeUpgrade({ ...good, controlPlanes: [unknownValue] })).toEqual([]);
  });
});
