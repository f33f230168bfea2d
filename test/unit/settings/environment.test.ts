import { describe, expect, it } from "vitest";
import { parseSettings, SettingsError } from "../../../config.ts";
import { minimalSettings } from "./example.ts";

function problemsOf(config: Record<string, unknown>, environment: Record<string, string>): string[] {
  try {
    parseSettings(config, undefined, environment);
  } catch (error) {
    if (error instanceof SettingsError) return error.problems.map(({ path, reason }) => `${path}: ${reason}`);
    throw error;
  }
  return [];
}

describe("a value from an environment variable", () => {
  it("is accepted for any setting", () => {
    const cluster = minimalSettings()["cluster"] as Record<string, unknown>;
    const config = {
      ...minimalSettings(),
      talosVersion: { fromEnvironment: "RELEASE" },
      cluster: {
        ...cluster,
        nodes: [{ name: { fromEnvironment: "NODE" }, address: "10.0.0.11", role: "controlplane" }],
      },
    };
    const settings = parseSettings(config, undefined, { RELEASE: "v1.13.9", NODE: "first" });
    expect(settings.talosVersion).toBe("v1.13.9");
    expect(settings.cluster.nodes[0]?.name).toBe("first");
  });

  it("is reported by its variable's name if missing, with all other mistakes", () => {
    const config = {
      ...minimalSettings(),
      talosVersion: { fromEnvironment: "RELEASE" },
      kubernetesVersion: { fromEnvironment: "EMPTY" },
      talosContract: "wrong",
    };
    expect(problemsOf(config, { EMPTY: "" })).toEqual([
      "talosVersion: comes from the environment variable RELEASE, which is not set",
      "kubernetesVersion: comes from the environment variable EMPTY, which is empty",
      expect.stringMatching(/^talosContract: /),
    ]);
  });

  it("is validated like any other value", () => {
    const config = { ...minimalSettings(), talosVersion: { fromEnvironment: "RELEASE" } };
    expect(problemsOf(config, { RELEASE: "1.13" })).toEqual([
      expect.stringMatching(/^talosVersion: is "1\.13"; it must be/),
    ]);
  });

  it("can be a driver's password", () => {
    const config = {
      ...minimalSettings(),
      joviandss: {
        image: "docker.io/opene/joviandss-csi:v1.1.0",
        pools: [{ name: "Pool-0" }],
        endpoint: {
          addresses: ["192.168.21.100"],
          user: "admin",
          password: { fromEnvironment: "JOVIANDSS_PASSWORD" },
        },
        iscsi: { addresses: ["192.168.21.100"] },
      },
    };
    const settings = parseSettings(config, undefined, { JOVIANDSS_PASSWORD: "kept-by-ci" });
    expect(settings.joviandss?.endpoint.password).toBe("kept-by-ci");
    expect(problemsOf(config, {}).join()).toBe(
      "joviandss.endpoint.password: comes from the environment variable JOVIANDSS_PASSWORD, which is not set",
    );
  });

  it.each(["v1.13.9\n", "v1.13.9\r\n"])("loses the line break that a shell left after it: %j", (RELEASE) => {
    const config = { ...minimalSettings(), talosVersion: { fromEnvironment: "RELEASE" } };
    expect(parseSettings(config, undefined, { RELEASE }).talosVersion).toBe("v1.13.9");
  });

  it("is empty if it is only a line break, and a file with several lines is kept", () => {
    const config = { ...minimalSettings(), talosVersion: { fromEnvironment: "RELEASE" } };
    expect(problemsOf(config, { RELEASE: "\n" })).toEqual([
      "talosVersion: comes from the environment variable RELEASE, which is empty",
    ]);
    const patch = "machine:\n  sysctls: { vm.max_map_count: '1' }\n";
    const cluster = minimalSettings()["cluster"] as Record<string, unknown>;
    const patched = {
      ...minimalSettings(),
      cluster: { ...cluster, patches: { all: [{ fromEnvironment: "PATCH" }] } },
    };
    expect(parseSettings(patched, undefined, { PATCH: patch }).cluster.patches.all).toEqual([patch]);
  });

  it("is refused as a password with a line break inside", () => {
    const array = { host: "10.0.1.2", username: "kubernetes", password: { fromEnvironment: "PASSWORD" } };
    expect(
      problemsOf({ ...minimalSettings(), synology: { arrays: [array] } }, { PASSWORD: "kept\n\n" }),
    ).toEqual([
      "synology.arrays[0].password: contains a line break, which would be sent to the storage as part of it; give the DSM user's password on one line",
    ]);
  });

  it.each([
    { fromEnvironment: "A", other: 1 },
    { fromEnvironment: "not a name" },
    { fromEnvironment: 1 },
    { fromenvironment: "A" },
  ])("is not requested by %o", (value) => {
    expect(problemsOf({ ...minimalSettings(), talosVersion: value }, { A: "v1.13.9" })).toEqual([
      expect.stringMatching(/^talosVersion: is a mapping; it must be a Talos release/),
    ]);
  });
});
