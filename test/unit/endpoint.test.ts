import { describe, expect, it } from "vitest";
import { withFormerEndpoints, type MembershipInputs } from "../../provider/membership/members.ts";
import { endpointsByAddress, endpointsFor, isItself, reach } from "../../talos/endpoint.ts";
import { withValues, parseOutcome, usualSettings } from "./settings/example.ts";

describe("the endpoint of a node", () => {
  const endpoints = endpointsByAddress(
    [
      { address: "10.0.0.11" },
      { address: "10.0.0.21", endpoint: "10.0.0.21:50021" },
      { address: "10.0.0.22", endpoint: "lb.example.org:443" },
    ],
    ["10.0.0.12", "10.0.0.11"],
  );

  it.each<[string, string[]]>([
    ["10.0.0.11", ["10.0.0.11", "10.0.0.12"]],
    ["10.0.0.13", ["10.0.0.12", "10.0.0.11"]],
    ["10.0.0.21", ["10.0.0.21:50021"]],
    ["10.0.0.22", ["lb.example.org:443"]],
  ])("%s: %j", (address, expected) => {
    expect(reach(address, endpoints)).toEqual(expected);
  });

  it("is its own address by default", () => {
    expect(endpointsByAddress([{ address: "10.0.0.11" }])).toBeUndefined();
    expect(reach("10.0.0.11", undefined)).toEqual(["10.0.0.11"]);
  });

  it("is written as talosctl accepts it: talosctl appends the port to a bracketed address", () => {
    const behind = endpointsByAddress([{ address: "fd00::2", endpoint: "[fd00::2]" }], ["[fd00::1]"]);
    expect(behind).toEqual({ "*": ["fd00::1"], "fd00::2": ["fd00::2"] });
  });

  it("is passed to a resource only for the nodes that it contacts", () => {
    expect(endpointsFor(endpoints, ["10.0.0.21"])).toEqual({
      "*": ["10.0.0.12", "10.0.0.11"],
      "10.0.0.21": ["10.0.0.21:50021"],
    });
    expect(endpointsFor(endpointsByAddress([{ address: "a", endpoint: "b" }]), ["c"])).toBeUndefined();
  });

  it.each<[string, string, boolean]>([
    ["10.0.0.21:50021", "10.0.0.21", true],
    ["[fd00::1]:50021", "fd00::1", true],
    ["CP1.example.org", "cp1.example.org", true],
    ["[fd00::1]:50021", "fd00:0:0:0:0:0:0:1", true],
    ["10.0.0.11", "10.0.0.21", false],
  ])("%s is %s itself: %j", (endpoint, node, expected) => {
    expect(isItself(endpoint, node)).toBe(expected);
  });

  it("stays known for a node that leaves", () => {
    const inputs = {
      nodes: [{ name: "cp1", node: "10.0.0.11", role: "controlplane" }],
      onRemove: "reset",
    } as unknown as MembershipInputs;
    const state = {
      nodes: [...inputs.nodes, { name: "w1", node: "10.0.0.21", role: "worker" }],
      endpoints: { "10.0.0.21": ["10.0.0.21:50021"] },
    };
    expect(withFormerEndpoints(inputs, state).endpoints).toEqual({ "10.0.0.21": ["10.0.0.21:50021"] });
    expect(withFormerEndpoints(inputs, { nodes: state.nodes }).endpoints).toBeUndefined();
  });
});

describe("endpoints in the settings", () => {
  it.each(["10.0.0.11", "10.0.0.11:50001", "[fd00::1]:50001", "fd00::1", "lb.example.org"])(
    "accept %s",
    (text) => {
      const { settings, message } = parseOutcome(
        withValues(usualSettings(), { "cluster.talosEndpoints": [text], "cluster.nodes[4].endpoint": text }),
      );
      expect(message).toBe("");
      expect(settings?.cluster.nodes[4]?.endpoint).toBe(text);
    },
  );

  it("cause a warning if a worker is to forward", () => {
    const { settings } = parseOutcome(
      withValues(usualSettings(), {
        "cluster.talosEndpoints": ["10.0.0.11", "10.0.0.21", "10.0.0.22:50000", "10.0.0.22:50021"],
        "cluster.nodes[3].endpoint": "10.0.0.21",
        "cluster.nodes[4].endpoint": "10.0.0.21",
      }),
    );
    expect(settings?.warnings).toEqual([
      {
        path: "cluster.talosEndpoints[1]",
        reason:
          "is 10.0.0.21, the address of w1, which is a worker and forwards to no other node; use control planes or load balancers",
      },
      { path: "cluster.talosEndpoints[2]", reason: expect.stringContaining("address of w2") as string },
      { path: "cluster.nodes[4].endpoint", reason: expect.stringContaining("address of w1") as string },
    ]);
  });

  it.each(["https://10.0.0.11", "10.0.0.11:0", "10.0.0.11:70000", "10.0.0", "", "a b"])(
    "refuse %j",
    (text) => {
      const { problems } = parseOutcome(
        withValues(usualSettings(), { "cluster.talosEndpoints": [text], "cluster.nodes[4].endpoint": text }),
      );
      expect(problems.map(({ path }) => path)).toEqual([
        "cluster.nodes[4].endpoint",
        "cluster.talosEndpoints[0]",
      ]);
      expect(problems[0]?.reason).toContain("a host or host:port, such as");
    },
  );

  it("report a worker's address that is not a string, along with other mistakes", () => {
    const address = { toString: 1 };
    const { problems } = parseOutcome(withValues(usualSettings(), { "cluster.nodes[4].address": address }));
    expect(problems.map(({ path }) => path)).toContain("cluster.nodes[4].address");
  });
});
