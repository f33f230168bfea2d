import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  kubernetesReleasesBefore,
  kubernetesMinor,
  kubernetesStops,
  kubernetesReleasesBetween,
  type KubernetesStop,
} from "../../talos/kubernetesPath.ts";
import { kubernetesProblem, releasesBefore } from "../../talos/releases.ts";

const way = ["v1.9.6", "v1.10.9", "v1.11.6", "v1.12.11", "v1.13.9"] as const;

describe("Kubernetes releases between two", () => {
  it("are the newest patch of each minor, or the given one", () => {
    expect(kubernetesReleasesBefore("v1.34.2", ["v1.32.4"]).slice(-4)).toEqual([
      ...["v1.30.14", "v1.31.14", "v1.32.4", "v1.33.13"],
    ]);
    const known = kubernetesReleasesBefore("v1.35.4");
    expect(kubernetesReleasesBetween("v1.32.1", "v1.35.4", known)).toEqual([
      "v1.33.13",
      "v1.34.13",
      "v1.35.4",
    ]);
    expect(kubernetesReleasesBetween("v1.34.1", "v1.35.4", [])).toEqual(["v1.35.4"]);
    expect(kubernetesReleasesBetween("v1.35.1", "v1.35.4", [])).toEqual(["v1.35.4"]);
    expect(kubernetesReleasesBetween("v1.32.1", "v1.35.4", ["v1.33.2"])).toBeUndefined();
  });
});

describe("Kubernetes upgrades between Talos hops", () => {
  const known = [...kubernetesReleasesBefore("v1.31.2"), "v1.31.2"];

  it("happen right before the first Talos release that needs them, one minor at a time", () => {
    expect(kubernetesStops("v1.29.6", way, known)).toEqual([
      { kubernetes: "v1.30.14", before: "v1.12.11" },
      { kubernetes: "v1.31.2", before: "v1.13.9" },
    ]);
    expect(kubernetesStops("v1.31.2", way, known)).toEqual([]);
  });

  it.each([
    [
      "is too new for a release on it",
      "v1.34.1",
      way,
      /^Talos v1\.10\.9 does not support Kubernetes v1\.34\.1$/,
    ],
    [
      "needs a minor that is not known",
      "v1.29.6",
      way,
      /no release of Kubernetes v1\.30 is known/,
      ["v1.31.2"],
    ],
    ["meets a Talos release that the table does not have", "v1.27.1", ["v1.9.6", "v1.15.0"], undefined],
    [
      "jumps too far",
      "v1.24.1",
      ["v1.6.8", "v1.14.1"],
      /^Talos v1\.14\.1 needs Kubernetes v1\.30, which the Talos release before it, v1\.6\.8, /,
    ],
  ] as const)(
    "are checked for a Kubernetes that %s",
    (_, kubernetes, talos, problem, of: readonly string[] = kubernetesReleasesBefore("v1.37.0")) => {
      const found = kubernetesStops(kubernetes, talos, of);
      if (problem === undefined) expect(found).toEqual([]);
      else expect((found as { problem: string }).problem).toMatch(problem);
    },
  );

  it("keep every pair supported at every moment, fit the last Talos release, and can resume anywhere", () => {
    const line = fc.integer({ min: 6, max: 14 });
    fc.assert(
      fc.property(line, line, fc.integer({ min: 24, max: 37 }), (a, b, minor) => {
        const [first, last] = [Math.min(a, b), Math.max(a, b)];
        const all = releasesBefore("v1.15.0").filter((one) => {
          const own = Number(one.split(".")[1]);
          return first <= own && own <= last;
        });
        const talos = all as [string, ...string[]];
        const start = `v1.${minor}.1`;
        fc.pre(kubernetesProblem(talos[0], start) === undefined);
        const releases = kubernetesReleasesBefore("v1.38.0");
        const stops = kubernetesStops(start, talos, releases);
        // With neighboring Talos releases, an older Kubernetes can always be upgraded. Only a newer one is refused.
        if ("problem" in stops) {
          expect(
            kubernetesProblem(talos.find((one) => kubernetesProblem(one, start) !== undefined) ?? "", start),
          ).toMatch(/newer Talos/);
          return;
        }
        let [runs, rest] = [start, stops as readonly KubernetesStop[]];
        for (const [index, release] of talos.entries()) {
          while (rest[0]?.before === release && index > 0) {
            const { kubernetes } = rest[0];
            expect(kubernetesMinor(kubernetes)).toBe((kubernetesMinor(runs) ?? 0) + 1);
            // During its upgrade, the previous Talos release runs both.
            for (const one of [runs, kubernetes])
              expect(kubernetesProblem(talos[index - 1] ?? "", one)).toBeUndefined();
            runs = kubernetes;
            rest = rest.slice(1);
            // A run that was killed here finds exactly the remaining stops.
            expect(
              kubernetesStops(runs, talos.slice(index - 1) as unknown as [string, ...string[]], releases),
            ).toEqual(rest);
          }
          expect(kubernetesProblem(release, runs)).toBeUndefined();
        }
        expect(rest).toEqual([]);
      }),
    );
  });
});
