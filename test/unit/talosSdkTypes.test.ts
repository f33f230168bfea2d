import { describe, expect, it } from "vitest";
import { SdkTypes } from "./talosSdk/compiler.ts";
import {
  expectedExports,
  functionQuestions,
  providerQuestions,
  resourceQuestions,
  typeQuestions,
} from "./talosSdk/expectedTypes.ts";
import { functions, parseToken, pascal, type PropertySpec, resources, schema } from "./talosSdk/schema.ts";

// The compiler compares the SDK's types with the schema's, property by property.
const questions = [
  ...resourceQuestions(),
  ...functionQuestions(),
  ...typeQuestions(),
  ...providerQuestions(),
];
// Deliberately wrong: the comparison must detect all of these.
const controls = [
  {
    about: "control: another name",
    actual: 'Pick<talos.machine.BootstrapArgs, "nodes">',
    expected: "{ nodes: pulumi.Input<string> }",
  },
  {
    about: "control: optional, not required",
    actual: 'Pick<talos.machine.BootstrapArgs, "node">',
    expected: "{ node?: pulumi.Input<string | undefined> }",
  },
  {
    about: "control: plain, not input",
    actual: 'Pick<talos.machine.BootstrapArgs, "node">',
    expected: "{ node: string }",
  },
  {
    about: "control: writable, not readonly",
    actual: 'Pick<talos.machine.GetDisksResult, "id">',
    expected: "{ id: string }",
  },
  {
    about: "control: another type deep inside",
    actual: "talos.types.input.machine.TrustdInfo",
    expected: "{ token: number }",
  },
  { about: "control: any", actual: "any", expected: "string" },
];

const sdk = new SdkTypes([...questions, ...controls]);

/** The schema's properties of one module, as `Interface.property`. */
function schemaProperties(module: string): Map<string, PropertySpec> {
  const found = new Map<string, PropertySpec>();
  const add = (name: string, properties: Record<string, PropertySpec> | undefined): void => {
    for (const [property, spec] of Object.entries(properties ?? {})) found.set(`${name}.${property}`, spec);
  };
  for (const [token, spec] of resources) {
    const { module: own, member } = parseToken(token);
    if (own !== module) continue;
    add(member, spec.properties);
    add(`${member}Args`, spec.inputProperties);
    add(`${member}State`, spec.stateInputs?.properties);
  }
  for (const [token, { inputs, outputs }] of functions) {
    const { module: own, member } = parseToken(token);
    if (own !== module) continue;
    add(`${pascal(member)}Args`, inputs.properties);
    add(`${pascal(member)}OutputArgs`, inputs.properties);
    add(`${pascal(member)}Result`, outputs.properties);
  }
  return found;
}

describe("types of the Talos SDK", () => {
  it("are compared by a compiler that detects every kind of difference", () => {
    expect(Object.keys(sdk.wrongAnswers((about) => about.startsWith("control"))).sort()).toEqual(
      controls.map(({ about }) => about).sort(),
    );
  });

  it.each([...Object.keys(schema.resources), ...functions.map(([token]) => token), "provider", "config"])(
    "match the schema for %s",
    (token) => {
      const own = (about: string): boolean => about.startsWith(`${token} `);
      expect(questions.filter(({ about }) => own(about)).length).toBeGreaterThan(1);
      expect(sdk.wrongAnswers(own)).toEqual({});
    },
  );

  it("include every nested object of the schema, in each form that is used", () => {
    const own = new Set(typeQuestions().map(({ about }) => about));
    expect(own.size).toBeGreaterThan(200);
    expect(sdk.wrongAnswers((about) => own.has(about))).toEqual({});
  });

  it("export exactly these names", () => {
    for (const [module, names] of expectedExports()) {
      expect({ module, names: sdk.exports(module) }).toEqual({ module, names });
    }
  });

  it.each(["client", "cluster", "imagefactory", "machine"])("mark deprecated properties in %s", (module) => {
    const expected = schemaProperties(module);
    const actual = sdk.properties(module).filter(({ name }) => expected.has(name));
    expect(actual.map(({ name }) => name).sort()).toEqual([...expected.keys()].sort());
    const deprecated = [...expected].filter(([, spec]) => spec.deprecationMessage).map(([name]) => name);
    expect(
      actual
        .filter((property) => property.deprecated)
        .map(({ name }) => name)
        .sort(),
    ).toEqual(deprecated.sort());
  });

  it("document every property", () => {
    const undocumented = [...expectedExports().keys()].flatMap((module) =>
      sdk
        .properties(module)
        .filter((property) => !property.documented && !property.deprecated)
        .map(({ name }) => `${module}: ${name}`),
    );
    expect(undocumented).toEqual([]);
  });
});
