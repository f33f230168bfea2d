import { join } from "node:path";
import { format, resolveConfig } from "prettier";
import ts from "typescript";
import type { FunctionSpec, PackageParts, ResourceSpec } from "../../provider/packageSpec.ts";
import { TypeSpecs } from "./typeSpecs.ts";

const packageName = "talos-node";
const inputsFile = "tools/nodeSchema/inputs.ts";

/** Each resource of the plugin, with the file of its class. Its inputs are the constructor's arguments, or an interface that also has the inputs the constructor adds. */
const resources: Record<string, { file: string; inputs?: string }> = {
  NodeUpgrade: { file: "components/nodeUpgrade.ts" },
  NodeConfiguration: { file: "components/machineConfiguration.ts", inputs: "NodeConfigurationInputs" },
  ClusterMembership: { file: "components/clusterMembership.ts" },
  RolloutReadiness: { file: "components/rolloutReadiness.ts", inputs: "RolloutReadinessInputs" },
  RolloutPreflight: { file: "components/rolloutPreflight.ts" },
  KubernetesUpgrade: { file: "components/kubernetesUpgrade.ts" },
  StorageProbe: { file: "components/storageProbe.ts" },
  ConfirmedSchematic: { file: "components/confirmedSchematic.ts" },
};

/** Properties that the classes use internally, among themselves and with the plugin. Nobody else may set them, so no SDK has them. */
const betweenClasses = new Set(["preview", "run", "refused", "refusals"]);

/** The resources and the function of the plugin `talos-node`, from the types and doc comments of the classes in components/. */
function nodeParts(root: string): PackageParts {
  const { config } = ts.readConfigFile(join(root, "tsconfig.json"), (path) => ts.sys.readFile(path)) as {
    config: unknown;
  };
  const { options } = ts.parseJsonConfigFileContent(config, ts.sys, root);
  const paths = [inputsFile, ...Object.values(resources).map(({ file }) => file)];
  const program = ts.createProgram(
    paths.map((path) => join(root, path)),
    options,
  );
  const checker = program.getTypeChecker();
  const specs = new TypeSpecs(checker, packageName);
  const exported = (file: string, name: string): ts.Symbol => {
    const source = program.getSourceFile(join(root, file));
    const module = source && checker.getSymbolAtLocation(source);
    const found = module?.exports?.get(ts.escapeLeadingUnderscores(name));
    if (found === undefined) throw new Error(`${file} exports no ${name}`);
    return found;
  };
  const propertiesOf = (symbol: ts.Symbol): ts.Symbol[] =>
    checker
      .getPropertiesOfType(checker.getDeclaredTypeOfSymbol(symbol))
      .filter((property) => !betweenClasses.has(property.name));

  const resourceOf = (name: string, file: string, inputsName = `${name}Args`): ResourceSpec => {
    const symbol = exported(file, name);
    // Outputs have `declare`. Properties without it are derived by the TypeScript class only.
    const own = propertiesOf(symbol).filter(
      ({ valueDeclaration }) =>
        valueDeclaration !== undefined &&
        valueDeclaration.getSourceFile().fileName.endsWith(file) &&
        (ts.getCombinedModifierFlags(valueDeclaration) & ts.ModifierFlags.Ambient) !== 0,
    );
    const inputs = specs.objectOf(
      propertiesOf(exported(inputsName.endsWith("Inputs") ? inputsFile : file, inputsName)),
      name,
    );
    return {
      description: specs.description(symbol),
      inputProperties: inputs.properties,
      requiredInputs: inputs.required ?? [],
      ...specs.objectOf(own, name),
    };
  };
  const functionOf = (name: string): FunctionSpec => {
    const inputs = exported(inputsFile, `${name}Inputs`);
    const objects = [inputs, exported(inputsFile, `${name}Outputs`)].map((symbol) => ({
      type: "object" as const,
      ...specs.objectOf(propertiesOf(symbol), name),
    }));
    const [given, answered] = objects as [(typeof objects)[0], (typeof objects)[0]];
    return { description: specs.description(inputs), inputs: given, outputs: answered };
  };
  const made = Object.entries(resources).map(
    ([name, { file, inputs }]) => [`${packageName}:index:${name}`, resourceOf(name, file, inputs)] as const,
  );
  return {
    resources: Object.fromEntries(made),
    functions: { [`${packageName}:index:clientCredentials`]: functionOf("ClientCredentials") },
    types: specs.types,
  };
}

/** The content of provider/schema.json. */
export async function nodeSchemaText(root: string): Promise<string> {
  const style = await resolveConfig(join(root, "package.json"));
  return format(JSON.stringify(nodeParts(root), undefined, 2), { ...style, filepath: "schema.json" });
}
