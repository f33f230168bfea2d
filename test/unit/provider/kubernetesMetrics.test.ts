import { expect, it } from "vitest";
import { deprecatedApisIn } from "../../../provider/kubernetesMetrics.ts";
import { removedApisInUse, stepFindings } from "../../../provider/kubernetesUpgrade/releases.ts";

// As written by kube-apiserver.
const metrics = `# HELP apiserver_requested_deprecated_apis [STABLE] Gauge of deprecated APIs that have been requested, broken out by API group, version, resource, subresource, and removed_release.
# TYPE apiserver_requested_deprecated_apis gauge
apiserver_requested_deprecated_apis{group="flowcontrol.apiserver.k8s.io",removed_release="1.32",resource="flowschemas",subresource="",version="v1beta3"} 1
apiserver_requested_deprecated_apis{group="flowcontrol.apiserver.k8s.io",removed_release="1.32",resource="flowschemas",subresource="status",version="v1beta3"} 1
apiserver_requested_deprecated_apis{group="",removed_release="",resource="componentstatuses",subresource="",version="v1"} 1
apiserver_requested_deprecated_apis{group="a.example",removed_release="1.40",resource="things",subresource="",version="v1beta1"} 0
apiserver_request_total{code="200",group="apps"} 12
`;

it("lists deprecated APIs that were requested, and names those that a release lacks", () => {
  const apis = deprecatedApisIn(metrics);
  expect(apis).toHaveLength(3);
  expect(apis[0]).toEqual({
    group: "flowcontrol.apiserver.k8s.io",
    version: "v1beta3",
    resource: "flowschemas",
    removedRelease: "1.32",
  });
  expect(removedApisInUse(apis, "v1.31.9")).toEqual([]);
  expect(removedApisInUse(apis, "v1.32.0")).toEqual([
    "flowschemas of flowcontrol.apiserver.k8s.io/v1beta3 (gone in v1.32)",
  ]);
});

it.each([
  [["v1.35.4"], "v1.35.4", []],
  [["v1.35.4"], "v1.35.1", []],
  [["v1.35.4", "v1.36.1"], "v1.36.2", []],
  [["v1.35.4"], "v1.37.0", ["more than one minor release"]],
  [["v1.34.9", "v1.35.4"], "v1.36.1", ["more than one minor release"]],
  [["v1.35.4", "v1.36.1"], "v1.35.4", ["cannot go back"]],
  [["v1.36.1"], "v1.36.0-rc.1", ["an earlier pre-release"]],
  [["v1.36.0-rc.0"], "v1.36.0-rc.1", []],
  [["v1.36.0-rc.1"], "v1.36.0", []],
  [["v1.35.4"], "v1.36.0-rc.1", []],
  [["v1.36.1"], "v1.37.0-rc.1", []],
  [[], "v1.36.1", []],
])("an upgrade from %j to %s has problems: %j", (releases, target, problems) => {
  const look = {
    silent: [],
    strangers: [],
    nodes: releases.map((release, index) => ({
      node: { name: `w${index}`, node: `10.0.0.${index}`, role: "worker" as const, pinned: [] },
      talosVersion: "v1.14.0",
      images: {},
      nameless: {},
      runs: { kubelet: release },
    })),
  };
  const found = stepFindings(look, { kubernetesVersion: target }, false).map(({ problem }) => problem);
  expect(found).toHaveLength(problems.length);
  problems.forEach((problem, index) => expect(found[index]).toContain(problem));
});
