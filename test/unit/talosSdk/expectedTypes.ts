import {
  functions,
  type ObjectSpec,
  parseToken,
  pascal,
  type PropertySpec,
  referencedType,
  resources,
  schema,
} from "./schema.ts";

/**
 * How Pulumi's code generator writes a type: `plain` for arguments of a function that is called directly, `input` where
 * outputs and promises are also accepted, `output` for results.
 */
type Form = "plain" | "input" | "output";

/** One question for the compiler: are these two types identical? */
export interface Question {
  /** The subject. Its first word names the resource, function or type. */
  about: string;
  actual: string;
  expected: string;
}

interface Use {
  token: string;
  form: Form;
}

/** Every object type in each form that a resource or function uses, at any depth. */
const uses: Map<string, Use> = collectUses();

function collectUses(): Map<string, Use> {
  const found = new Map<string, Use>();
  const visit = (properties: Record<string, PropertySpec>, form: Form): void => {
    for (const spec of Object.values(properties)) {
      const token = referencedType(spec.items ?? spec);
      if (token === undefined || found.has(`${form} ${token}`)) continue;
      found.set(`${form} ${token}`, { token, form });
      visit(objectType(token).properties, form);
    }
  };
  for (const [, resource] of resources) {
    visit(resource.inputProperties ?? {}, "input");
    visit(resource.stateInputs?.properties ?? {}, "input");
    visit(resource.properties ?? {}, "output");
  }
  for (const [, fn] of functions) {
    visit(fn.inputs.properties, "plain");
    visit(fn.inputs.properties, "input");
    visit(fn.outputs.properties, "output");
  }
  return found;
}

function objectType(token: string): ObjectSpec {
  const type = schema.types[token];
  if (!type) throw new Error(`the schema refers to ${token}, which it does not define`);
  return type;
}

/** A type with a plain form keeps the short name for it, and its input form is called `…Args`. */
function typeName({ token, form }: Use): string {
  return pascal(parseToken(token).member) + (form === "input" && uses.has(`plain ${token}`) ? "Args" : "");
}

function typePath(use: Use): string {
  const side = use.form === "output" ? "output" : "input";
  return `talos.types.${side}.${parseToken(use.token).namespace}.${typeName(use)}`;
}

function bareType(spec: PropertySpec, form: Form): string {
  const token = referencedType(spec);
  if (token !== undefined) return typePath({ token, form });
  if (spec.$ref === "pulumi.json#/Any") return "unknown";
  switch (spec.type) {
    case "string":
    case "boolean":
      return spec.type;
    case "integer":
      return "number";
    case "array": {
      const item = bareType(spec.items ?? {}, form);
      return form === "input" ? `pulumi.Input<${item}>[]` : `${item}[]`;
    }
    case "object":
      return `{ [key: string]: ${bareType(spec.additionalProperties ?? {}, form)} }`;
    default:
      throw new Error(`no TypeScript type for ${JSON.stringify(spec)}`);
  }
}

/** The property as a member of an interface. */
function member(name: string, spec: PropertySpec, form: Form, required: boolean): string {
  const type = bareType(spec, form);
  if (form !== "input") return `${name}${required ? "" : "?"}: ${type}`;
  return required ? `${name}: pulumi.Input<${type}>` : `${name}?: pulumi.Input<${type} | undefined>`;
}

/** One question for the property names, and one for each property's type, optionality and mutability. */
function ask(about: string, actual: string, members: Map<string, string>): Question[] {
  const names = [...members.keys()].map((name) => JSON.stringify(name)).join(" | ") || "never";
  return [
    { about: `${about} property names`, actual: `keyof (${actual})`, expected: names },
    ...[...members].map(([name, text]) => ({
      about: `${about} .${name}`,
      actual: `Pick<${actual}, "${name}">`,
      expected: `{ ${text} }`,
    })),
  ];
}

function askInterface(
  about: string,
  actual: string,
  object: { properties: Record<string, PropertySpec>; required: string[] },
  form: Form,
  prefix = "",
): Question[] {
  const members = Object.entries(object.properties).map(([name, spec]): [string, string] => [
    name,
    prefix + member(name, spec, form, object.required.includes(name)),
  ]);
  return ask(about, actual, new Map(members));
}

/** The questions about nested objects. An SDK omits schema types that nothing refers to. */
export function typeQuestions(): Question[] {
  return [...uses.values()].flatMap((use) => {
    const { properties, required, language } = objectType(use.token);
    const override =
      use.form === "output" ? language?.nodejs?.requiredOutputs : language?.nodejs?.requiredInputs;
    const object = { properties, required: override ?? required ?? [] };
    return askInterface(`${use.token} ${use.form}`, typePath(use), object, use.form);
  });
}

export function resourceQuestions(): Question[] {
  return resources.flatMap(([token, spec]) => {
    const { module, member: name } = parseToken(token);
    const path = `talos.${module}.${name}`;
    const required = spec.requiredInputs ?? [];
    const outputs = Object.entries(spec.properties ?? {}).map(([property, type]): [string, string] => {
      const optional = spec.required?.includes(property) ? "" : " | undefined";
      return [property, `readonly ${property}: pulumi.Output<${bareType(type, "output")}${optional}>`];
    });
    const args = `args${required.length > 0 ? "" : "?"}: ${path}Args`;
    const get = `(name: string, id: pulumi.Input<pulumi.ID>, state?: ${path}State, ${options("Custom")}) => ${path}`;
    return [
      ...askInterface(
        `${token} args`,
        `${path}Args`,
        { properties: spec.inputProperties ?? {}, required },
        "input",
      ),
      ...askInterface(
        `${token} state`,
        `${path}State`,
        { properties: spec.stateInputs?.properties ?? {}, required: [] },
        "input",
      ),
      ...ask(`${token} outputs`, `Omit<${path}, keyof pulumi.CustomResource>`, new Map(outputs)),
      {
        about: `${token} constructor`,
        actual: `ConstructorParameters<typeof ${path}>`,
        expected: `ConstructorParameters<new (name: string, ${args}, ${options("Custom")}) => unknown>`,
      },
      { about: `${token} get`, actual: `typeof ${path}.get`, expected: get },
    ];
  });
}

function options(kind: "Custom" | ""): string {
  return `opts?: pulumi.${kind}ResourceOptions`;
}

export function functionQuestions(): Question[] {
  return functions.flatMap(([token, { inputs, outputs }]) => {
    const { module, member: name } = parseToken(token);
    const path = `talos.${module}.${name}`;
    const type = `talos.${module}.${pascal(name)}`;
    const given = { properties: inputs.properties, required: inputs.required ?? [] };
    const returned = { properties: outputs.properties, required: outputs.required ?? [] };
    const args = given.required.length > 0 ? "args" : "args?";
    return [
      ...askInterface(`${token} args`, `${type}Args`, given, "plain"),
      ...askInterface(`${token} output args`, `${type}OutputArgs`, given, "input"),
      ...askInterface(`${token} result`, `${type}Result`, returned, "output", "readonly "),
      {
        about: `${token} signature`,
        actual: `typeof ${path}`,
        expected: `(${args}: ${type}Args, opts?: pulumi.InvokeOptions) => Promise<${type}Result>`,
      },
      {
        about: `${token} output signature`,
        actual: `typeof ${path}Output`,
        expected: `(${args}: ${type}OutputArgs, opts?: pulumi.InvokeOutputOptions) => pulumi.Output<${type}Result>`,
      },
    ];
  });
}

export function providerQuestions(): Question[] {
  const { provider, config, functions: all } = schema;
  const own = Object.keys(provider.methods);
  const properties = Object.entries(provider.properties ?? {}).map(([name, spec]): [string, string] => [
    name,
    `readonly ${name}: pulumi.Output<${bareType(spec, "output")}${provider.required?.includes(name) ? "" : " | undefined"}>`,
  ]);
  const methods = own.map((name): [string, string] => [
    name,
    `${name}: () => pulumi.Output<talos.Provider.${pascal(name)}Result>`,
  ]);
  const variables = Object.entries(config.variables).map(([name, spec]): [string, string] => [
    name,
    `readonly ${name}: ${bareType(spec, "output")} | undefined`,
  ]);
  const given = { properties: provider.inputProperties ?? {}, required: provider.requiredInputs ?? [] };
  return [
    ...askInterface("provider args", "talos.ProviderArgs", given, "input"),
    ...ask(
      "provider outputs",
      "Omit<talos.Provider, keyof pulumi.ProviderResource>",
      new Map([...properties, ...methods]),
    ),
    {
      about: "provider constructor",
      actual: "ConstructorParameters<typeof talos.Provider>",
      expected: `ConstructorParameters<new (name: string, args?: talos.ProviderArgs, ${options("")}) => unknown>`,
    },
    ...Object.entries(provider.methods).flatMap(([name, token]) => {
      const outputs = all[token]?.outputs ?? { properties: {} };
      const returned = { properties: outputs.properties, required: outputs.required ?? [] };
      return askInterface(
        `provider ${name}`,
        `talos.Provider.${pascal(name)}Result`,
        returned,
        "output",
        "readonly ",
      );
    }),
    ...ask("config", "typeof talos.config", new Map(variables)),
  ];
}

/** The names that each module of the SDK must export, types included. */
export function expectedExports(): Map<string, string[]> {
  const exports = new Map<string, Set<string>>();
  const add = (module: string, ...names: string[]): void => {
    const set = exports.get(module) ?? new Set();
    for (const name of names) set.add(name);
    exports.set(module, set);
  };
  add("", "Provider", "ProviderArgs", "config", "types");
  add("types", "input", "output");
  for (const [token] of resources) {
    const { module, member: name } = parseToken(token);
    add("", module);
    add(module, name, `${name}Args`, `${name}State`);
  }
  for (const [token] of functions) {
    const { module, member: name } = parseToken(token);
    add("", module);
    add(
      module,
      name,
      `${name}Output`,
      `${pascal(name)}Args`,
      `${pascal(name)}OutputArgs`,
      `${pascal(name)}Result`,
    );
  }
  for (const use of uses.values()) {
    const [, , side = "", namespace = ""] = typePath(use).split(".");
    add(`types.${side}`, namespace);
    add(`types.${side}.${namespace}`, typeName(use));
  }
  return new Map([...exports].map(([module, names]) => [module, [...names].sort()]));
}
