import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { parseSettings } from "../../../config.ts";
import { minimalSettings, parseOutcome } from "./example.ts";

/** The keys that `pulumi new` saves, one per answer. */
const answers = {
  talosVersion: "v1.13.9",
  "cluster.name": "dev",
  "cluster.endpoint": "https://10.0.0.10:6443",
  "cluster.nodes[0].name": "cp1",
  "cluster.nodes[0].address": "10.0.0.11",
  "cluster.nodes[0].role": "controlplane",
};

const paths = (config: Record<string, unknown>): string[] =>
  parseOutcome(config)
    .problems.map(({ path }) => path)
    .sort();

describe("flat keys", () => {
  it("mean the same as nested settings", () => {
    expect(parseOutcome(answers).settings).toEqual(parseOutcome(minimalSettings()).settings);
  });

  it("can be mixed with nested settings, such as the project's default", () => {
    const mixed = {
      ...answers,
      cluster: { nodes: [{ installDisk: "/dev/vda" }], checkHardware: "warn" },
    };
    expect(parseOutcome(mixed).problems).toEqual([]);
    expect(parseOutcome(mixed).settings?.cluster.nodes[0]).toMatchObject({
      name: "cp1",
      installDisk: "/dev/vda",
    });
    expect(parseOutcome({ ...answers, cluster: {} }).settings).toEqual(parseOutcome(answers).settings);
  });

  it("do not modify the caller's object", () => {
    const given = { ...answers, cluster: { nodes: [{ installDisk: "/dev/vda" }] } };
    const before = structuredClone(given);
    parseOutcome(given);
    expect(given).toEqual(before);
  });

  it("become numbers and booleans as with --path", () => {
    const { settings, problems } = parseOutcome({
      ...answers,
      "upgrade.prePull": "false",
      "upgrade.workers.maxUnavailable": "2",
    });
    expect(problems).toEqual([]);
    expect(settings?.upgrade).toMatchObject({ prePull: false, workers: { maxUnavailable: 2 } });
  });

  it.each(["123", "0", "true", "false"])("keep %s as a string if the setting is a string", (text) => {
    const { settings, problems } = parseOutcome({
      ...answers,
      "cluster.name": text,
      "cluster.nodes[0].name": text,
      "cluster.nodes[0].labels.rack": text,
    });
    expect(problems).toEqual([]);
    expect(settings?.cluster.name).toBe(text);
    expect(settings?.cluster.nodes[0]).toMatchObject({ name: text, labels: { rack: text } });
  });

  it("become what --path makes of them if a setting accepts several types", () => {
    const { settings, problems } = parseOutcome({
      ...answers,
      "upgrade.workers.maxUnavailable": "2",
      "cluster.patches.all[0].machine.sysctls.first": "1",
    });
    expect(problems).toEqual([]);
    expect(settings?.upgrade.workers.maxUnavailable).toBe(2);
  });

  it("keep the order of a list of any length", () => {
    const nodes = Array.from({ length: 12 }, (_, index) => index).flatMap((index) => [
      [`cluster.nodes[${index}].name`, index === 0 ? "cp1" : `w${index}`],
      [`cluster.nodes[${index}].address`, `10.0.0.${11 + index}`],
      [`cluster.nodes[${index}].role`, index === 0 ? "controlplane" : "worker"],
    ]);
    const { settings } = parseOutcome({
      ...answers,
      ...(Object.fromEntries(nodes) as Record<string, string>),
    });
    expect(settings?.cluster.nodes.map(({ name }) => name)).toEqual([
      "cp1",
      ...Array.from({ length: 11 }, (_, index) => `w${index + 1}`),
    ]);
  });
});

describe("a flat key is refused", () => {
  it.each<[string, Record<string, unknown>, string[]]>([
    ["set twice", { ...answers, cluster: { name: "prod" } }, ["cluster.name"]],
    [
      "set twice, even to the same",
      { ...answers, ...minimalSettings() },
      [
        "cluster.endpoint",
        "cluster.name",
        "cluster.nodes[0].address",
        "cluster.nodes[0].name",
        "cluster.nodes[0].role",
      ],
    ],
    ["below a plain value", { ...answers, "cluster.name.first": "a" }, ["cluster.name.first"]],
    ["an item of what is no list", { ...minimalSettings(), "cluster[0].name": "a" }, ["cluster[0].name"]],
    ["a key of a list", { ...minimalSettings(), "cluster.nodes.first": "a" }, ["cluster.nodes.first"]],
    [
      "an item far behind the others",
      { ...minimalSettings(), "cluster.nodes[9].name": "a" },
      ["cluster.nodes[9].name"],
    ],
    ["misspelt", { ...answers, "cluster.nodes[0].adress": "10.0.0.1" }, ["cluster.nodes[0].adress"]],
    ["no setting", { ...answers, "clusters.name": "dev" }, ["clusters"]],
    ["no path", { ...answers, "cluster.nodes[x].name": "a" }, ["cluster.nodes[x].name"]],
    ["a way to a prototype", { ...answers, "cluster.__proto__.name": "a" }, ["cluster.__proto__.name"]],
  ])("if it is %s", (_, config, expected) => {
    expect(paths(config)).toEqual(expected);
  });

  it("and missing settings are reported at their paths", () => {
    const { "cluster.endpoint": _endpoint, "cluster.nodes[0].address": _address, ...rest } = answers;
    expect(paths({ ...rest, cluster: {} })).toEqual(["cluster.endpoint", "cluster.nodes[0].address"]);
  });
});

describe("a secret under a flat key", () => {
  const config = {
    ...answers,
    "joviandss.image": "docker.io/opene/joviandss-csi:v1.0",
    "joviandss.endpoint.addresses[0]": "192.168.0.100",
    "joviandss.endpoint.user": "admin",
    "joviandss.endpoint.password": "12345678",
    "joviandss.iscsi.addresses[0]": "192.168.0.100",
    "joviandss.pools[0].name": "Pool-0",
  };

  it("is hidden, and stays a string", () => {
    const file = { ...config, "joviandss.endpoint.password": { secure: "v1:abc" } };
    const settings = parseSettings(
      config,
      undefined,
      {},
      {
        secretKeys: new Set(["joviandss.endpoint.password"]),
        file,
      },
    );
    expect(settings.hidden.values).toEqual(["12345678"]);
    expect(settings.joviandss?.endpoint.password).toBe("12345678");
    expect(settings.warnings.filter(({ reason }) => reason.includes("plain text"))).toEqual([]);
  });

  it("causes a warning in plain text", () => {
    const { warnings } = parseSettings(
      { ...config, "joviandss.endpoint.password": "plum-orchard" },
      undefined,
      {},
      {
        secretKeys: new Set(),
        file: config,
      },
    );
    expect(warnings.map(({ path }) => path)).toContain("joviandss.endpoint.password");
  });
});

it("the project's template asks for the keys of a complete cluster", () => {
  const { config, template } = parse(
    readFileSync(join(import.meta.dirname, "../../../Pulumi.yaml"), "utf8"),
  ) as {
    config: { cluster: { default: unknown } };
    template: { config: Record<string, { default?: string; secret?: boolean }> };
  };
  expect(Object.keys(template.config).sort()).toEqual(Object.keys(answers).sort());
  expect(config.cluster.default).toEqual({});
  const given = Object.fromEntries(
    Object.entries(template.config).map(([key, { default: byDefault }]) => [
      key,
      byDefault ?? answers[key as keyof typeof answers],
    ]),
  );
  expect(paths(given)).toEqual([]);
});
