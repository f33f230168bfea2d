import { describe, expect, it } from "vitest";
import { evaluateJsonPath, jsonPathProblem } from "../../talos/jsonPath.ts";

const object = {
  metadata: { annotations: { "example.org/state": "ok" } },
  status: {
    phase: "Running",
    conditions: [
      { type: "Ready", status: "True" },
      { type: "Degraded", status: "False" },
    ],
  },
};

describe("a JSONPath", () => {
  it.each([
    ["{.status.phase}", ["Running"]],
    [".status.phase", ["Running"]],
    ["status.phase", ["Running"]],
    ["$.status.phase", ["Running"]],
    ['{.status.conditions[?(@.type=="Ready")].status}', ["True"]],
    ["$.status.conditions[*].status", ["True", "False"]],
    ["{.metadata.annotations['example.org/state']}", ["ok"]],
    ["{.status.nothing}", []],
  ])("%s", (path, values) => {
    expect(jsonPathProblem(path)).toBeUndefined();
    expect(evaluateJsonPath(path, object)).toEqual(values);
  });

  it.each(["{.status.conditions[?(@.type=}", "{.status.}", "$..[", ""])("%j is not one", (path) => {
    expect(jsonPathProblem(path)).toMatch(/^is no JSONPath: /);
  });
});
