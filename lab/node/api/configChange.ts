import { isDeepStrictEqual } from "node:util";
import type { MachineConfig } from "../machine/machineConfig.ts";

type Json = Record<string, unknown>;

/** What Talos applies without a reboot (siderolabs/talos v1.13 v1alpha1_runtime.go CanApplyImmediate). */
const immediate = {
  machine:
    "ca acceptedCAs time certSANs install network sysfs sysctls logging controlPlane kubelet kernel registries pods " +
    "seccompProfiles nodeAnnotations nodeLabels nodeTaints",
  features: "kubernetesTalosAPIAccess kubePrism hostDNS imageCache nodeAddressSortAlgorithm",
};

const isJson = (value: unknown): value is Json =>
  value !== null && typeof value === "object" && !Array.isArray(value);

function without(value: Json, keys: string): Json {
  const dropped = keys.split(" ");
  return Object.fromEntries(Object.entries(value).filter(([key]) => !dropped.includes(key)));
}

/** The part of a configuration that only takes effect at boot. */
function bootPart(config: MachineConfig): unknown {
  const main = config.documents.find((document) => document["kind"] === undefined) ?? {};
  const machine = isJson(main["machine"]) ? without(main["machine"], immediate.machine) : {};
  if (isJson(machine["features"])) machine["features"] = without(machine["features"], immediate.features);
  return { ...without(main, "debug cluster"), machine };
}

/** Whether the running system can apply the new configuration without a reboot. */
export function appliesImmediately(current: MachineConfig, next: MachineConfig): boolean {
  return isDeepStrictEqual(bootPart(current), bootPart(next));
}

/** The human-readable change: a unified diff with three lines of context. */
export function configDiff(before: string, after: string): string {
  const a = before.split("\n");
  const b = after.split("\n");
  const kept = longestCommon(a, b);
  const lines: { mark: " " | "-" | "+"; text: string }[] = [];
  let i = 0;
  let j = 0;
  for (const [x, y] of [...kept, [a.length, b.length] as const]) {
    while (i < x) lines.push({ mark: "-", text: a[i++] ?? "" });
    while (j < y) lines.push({ mark: "+", text: b[j++] ?? "" });
    if (i < a.length) lines.push({ mark: " ", text: a[i] ?? "" });
    i++;
    j++;
  }
  const near = lines.map((_, index) =>
    lines.slice(Math.max(0, index - 3), index + 4).some(({ mark }) => mark !== " "),
  );
  const shown = lines.flatMap(({ mark, text }, index) =>
    near[index] === true ? [`${mark}${text}`] : near[index - 1] === true ? ["@@"] : [],
  );
  return shown.length === 0 ? "No changes." : `Config diff:\n\n--- a\n+++ b\n${shown.join("\n")}\n`;
}

/** Index pairs of a longest common subsequence. */
function longestCommon(a: string[], b: string[]): (readonly [number, number])[] {
  const width = b.length + 1;
  const length = new Uint32Array((a.length + 1) * width);
  const get = (i: number, j: number): number => length[i * width + j] ?? 0;
  for (let i = a.length - 1; i >= 0; i--) {
    for (let j = b.length - 1; j >= 0; j--) {
      length[i * width + j] = a[i] === b[j] ? get(i + 1, j + 1) + 1 : Math.max(get(i + 1, j), get(i, j + 1));
    }
  }
  const pairs: (readonly [number, number])[] = [];
  for (let i = 0, j = 0; i < a.length && j < b.length;) {
    if (a[i] === b[j]) pairs.push([i++, j++]);
    else if (get(i + 1, j) >= get(i, j + 1)) i++;
    else j++;
  }
  return pairs;
}
