import fc from "fast-check";
import { expect, it } from "vitest";
import { stepsForBothUpgrades } from "../../talos/kubernetesSteps.ts";
import { kubernetesProblem } from "../../talos/releases.ts";

const talos = (to: string) => ({ talosVersion: to });
const kubernetes = (minor: number) => ({ kubernetesMinor: `v1.${minor}` });

it.each([
  ["Kubernetes first", "v1.12.7", "v1.13.9", "v1.30.4", "v1.31.2", [kubernetes(31), talos("v1.13.9")]],
  ["Talos first", "v1.12.7", "v1.13.9", "v1.35.4", "v1.36.1", [talos("v1.13.9"), kubernetes(36)]],
  [
    "one before and the rest after",
    "v1.12.7",
    "v1.13.9",
    "v1.30.4",
    "v1.36.1",
    [kubernetes(31), talos("v1.13.9"), kubernetes(36)],
  ],
  ["Kubernetes alone", "v1.13.9", "v1.13.9", "v1.34.4", "v1.36.1", [kubernetes(36)]],
  ["Talos alone", "v1.12.7", "v1.13.9", "v1.34.4", undefined, [talos("v1.13.9")]],
  [
    "Talos, which needs a newer one",
    "v1.12.7",
    "v1.13.9",
    "v1.30.4",
    undefined,
    [kubernetes(31), talos("v1.13.9")],
  ],
  ["nothing", "v1.13.9", "v1.13.9", "v1.36.1", "v1.36.2", undefined],
  ["a Kubernetes too new for both", "v1.12.7", "v1.13.9", "v1.35.4", "v1.38.0", undefined],
  ["Talos with no common Kubernetes between", "v1.6.8", "v1.13.9", "v1.29.1", "v1.36.0", undefined],
  ["a Talos of which nothing is known", "v1.13.9", "v9.1.0", "v1.36.1", "v1.37.0", undefined],
])("%s", (_, from, to, runs, wanted, steps) => {
  expect(stepsForBothUpgrades({ from, to }, { from: runs, to: wanted })).toEqual(steps);
});

it("every step fits the release of the other one, and the last step reaches both targets", () => {
  const lines = { 10: "v1.10.9", 11: "v1.11.6", 12: "v1.12.7", 13: "v1.13.9", 14: "v1.14.1" } as const;
  const line = fc.constantFrom(...Object.values(lines));
  const minor = fc.integer({ min: 28, max: 37 });
  fc.assert(
    fc.property(line, line, minor, minor, (from, to, runs, wanted) => {
      fc.pre(kubernetesProblem(from, `v1.${runs}.0`) === undefined);
      const steps = stepsForBothUpgrades({ from, to }, { from: `v1.${runs}.0`, to: `v1.${wanted}.0` }) ?? [];
      let [system, at] = [from as string, runs];
      for (const step of steps) {
        if ("talosVersion" in step) system = step.talosVersion;
        else at = Number(step.kubernetesMinor.replace("v1.", ""));
        expect(kubernetesProblem(system, `v1.${at}.0`)).toBeUndefined();
      }
      if (steps.length > 0) expect([system, at >= wanted]).toEqual([to, true]);
    }),
  );
});
