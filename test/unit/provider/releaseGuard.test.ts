import { describe, expect, it } from "vitest";
import { releaseFindings } from "../../../provider/guards/release.ts";

const wanted = { talosVersion: "v1.13.9", extensions: ["siderolabs/iscsi-tools"], allowSkew: false };
const problems = (...args: Parameters<typeof releaseFindings>): string[] =>
  releaseFindings(...args).map(({ problem }) => problem);

describe("an upgrade from the running release to the wanted one", () => {
  it("is fine between neighboring minors, with a Kubernetes that both run", () => {
    expect(problems("v1.12.7", "v1.35.4", wanted)).toEqual([]);
    expect(problems("v1.13.9", undefined, wanted)).toEqual([]);
  });

  it("may skip a minor only with an explicit override", () => {
    expect(problems("v1.11.6", "v1.34.0", wanted)).toEqual([expect.stringMatching(/skips v1\.12/)]);
    expect(problems("v1.11.6", "v1.34.0", { ...wanted, allowSkew: true })).toEqual([]);
  });

  it("is refused if the installer refuses it, with or without the override", () => {
    for (const allowSkew of [false, true]) {
      expect(problems("v1.9.5", undefined, { ...wanted, allowSkew })).toEqual([
        expect.stringMatching(/refuses nodes older/),
      ]);
    }
  });

  it("is refused for a release that is broken with one of the node's extensions", () => {
    const bad = { ...wanted, talosVersion: "v1.13.8" };
    expect(problems("v1.12.7", undefined, bad)).toEqual([
      expect.stringMatching(/^v1\.13\.8 is a broken release: /),
    ]);
    expect(problems("v1.12.7", undefined, { ...bad, extensions: [] })).toEqual([]);
  });

  it("is refused with a Kubernetes that the target does not run", () => {
    expect(problems("v1.12.7", "v1.30.1", wanted)).toEqual([expect.stringMatching(/not v1\.30\.1/)]);
  });

  it("comes with the steps to take if Kubernetes has to go first", () => {
    const [found] = releaseFindings("v1.12.7", "v1.30.1", { ...wanted, kubernetesVersion: "v1.34.2" });
    expect(found?.hint).toMatch(
      /1\) set kubernetesVersion to v1\.31.*; 2\) set talosVersion to v1\.13\.9 .*; 3\) set kubernetesVersion to v1\.34/,
    );
  });

  it("has all problems reported at once", () => {
    expect(problems("v1.10.1", "v1.30.1", { ...wanted, talosVersion: "v1.12.5" })).toHaveLength(2);
  });

  it("needs the override if the running release has a custom name", () => {
    expect(problems("v1.13.0-mine", undefined, wanted)).toEqual([expect.stringMatching(/cannot be checked/)]);
    expect(problems("v1.13.0-mine", undefined, { ...wanted, allowSkew: true })).toEqual([]);
  });
});
