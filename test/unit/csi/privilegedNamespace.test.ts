import { describe, expect, test } from "vitest";
import { csiNamespaces, csiProblems } from "../../../components/csi/csiProblems.ts";
import { namespacesSchema } from "../../../components/csi/namespaceSettings.ts";
import { PrivilegedNamespace } from "../../../components/csi/privilegedNamespace.ts";
import { synologySchema } from "../../../components/csi/synologySettings.ts";
import { synology } from "./plainSettings.ts";
import { problemsOf } from "./problemsOf.ts";
import { valueAt, onlyResource, record } from "./recorder.ts";

test("a privileged namespace admits any pod, keeps its labels, and is never deleted from the cluster", async () => {
  const { resources } = await record(
    () =>
      new PrivilegedNamespace("longhorn-system", { name: "longhorn-system", labels: { team: "storage" } }),
  );
  const namespace = onlyResource(resources, "kubernetes:core/v1:Namespace");
  expect(valueAt(namespace.inputs, "metadata", "name")).toBe("longhorn-system");
  const modes = ["enforce", "audit", "warn"].map((mode) => [
    `pod-security.kubernetes.io/${mode}`,
    "privileged",
  ]);
  expect(valueAt(namespace.inputs, "metadata", "labels")).toMatchObject({
    ...Object.fromEntries(modes),
    team: "storage",
  });
  expect(namespace.retainOnDelete).toBe(true);
});

describe("the setting namespaces", () => {
  const drivers = { synology: synologySchema.parse(synology) };
  const parsed = (...entries: object[]) => namespacesSchema.parse(entries);

  test("exempts its namespaces in addition to the drivers' by default", () => {
    const namespaces = parsed({ name: "longhorn-system" }, { name: "trident", exempt: false });
    expect(csiNamespaces({ ...drivers, namespaces })).toEqual(["synology-csi", "longhorn-system"]);
  });

  test.each<[string, string[], string]>([
    ["a driver's namespace", ["synology-csi"], "namespaces[0].name"],
    ["one namespace twice", ["a", "a"], "namespaces[1].name"],
  ])("refuses %s", (_, names, path) => {
    const namespaces = parsed(...names.map((name) => ({ name })));
    expect(csiProblems({ ...drivers, namespaces }).map((problem) => problem.path)).toEqual([path]);
  });

  test("refuses labels that Kubernetes refuses", () => {
    const labels = { team: "storage team", "cost/center/1": "a" };
    expect(problemsOf(namespacesSchema, [{ name: "trident", labels }]).map(({ path }) => path)).toEqual([
      "[0].labels.team",
      "[0].labels.cost/center/1",
    ]);
    expect(problemsOf(namespacesSchema, [{ name: "trident", labels: { "example.com/team": "" } }])).toEqual(
      [],
    );
  });

  test.each(["kube-system", "default", "Longhorn_System"])("refuses the name %s", (name) => {
    expect(namespacesSchema.safeParse([{ name }]).success).toBe(false);
  });
});
