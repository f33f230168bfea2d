import js from "@eslint/js";
import tseslint from "typescript-eslint";

const gateOnly = [
  { regex: "(^|/)actor\\.ts$", message: "Only provider/gate may connect a client that can disturb a node." },
  {
    regex: "gate/sealedClients\\.ts$",
    importNames: ["unsealClients"],
    message: "Only provider/gate may open the clients that can disturb a node: use a method of Gate.",
  },
  {
    regex: "(^|/)kubernetesApi\\.ts$",
    importNames: ["connectNodeRemover"],
    message: "Only provider/gate may delete a Node object.",
  },
  {
    regex: "(^|/)(talosClient|kubernetes)\\.ts$",
    importNames: ["TalosActor", "NodeRemover"],
    message: "Only provider/gate works with clients that can disturb a node or its cluster.",
  },
];

export default tseslint.config(
  {
    ignores: [
      "node_modules/",
      ".tools/",
      ".package/",
      ".lab/",
      "coverage/",
      "reports/",
      "provider/pulumi-resource-talos-node",
      "plugin/pulumi-resource-talos-iscsi",
      // Programs of other projects: test/tools/package.test.ts compiles them against the package.
      "examples/programs/",
      "**/*.js",
      "**/*.cjs",
      // What Pulumi loads first is plain JavaScript.
      "!main.js",
      "!eslint.config.js",
      "!provider/start*.cjs",
      "!plugin/start.cjs",
      "api/",
    ],
  },
  js.configs.recommended,
  ...tseslint.configs.recommendedTypeChecked,
  {
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      "@typescript-eslint/no-explicit-any": "error",
      "@typescript-eslint/consistent-type-imports": "error",
      "@typescript-eslint/no-unused-vars": ["error", { argsIgnorePattern: "^_", varsIgnorePattern: "^_" }],
      "@typescript-eslint/require-await": "off",
      "@typescript-eslint/restrict-template-expressions": [
        "error",
        { allowNumber: true, allowBoolean: true },
      ],
      "no-restricted-exports": ["error", { restrictDefaultExports: { direct: true, named: true } }],
    },
  },
  // A file has one reason to change; one of this length has several.
  { files: ["components/**", "talos/**", "provider/**"], rules: { "max-lines": ["error", 400] } },
  {
    files: ["main.js", "eslint.config.js", "provider/start*.cjs", "plugin/start.cjs"],
    ...tseslint.configs.disableTypeChecked,
    languageOptions: {
      ...tseslint.configs.disableTypeChecked.languageOptions,
      globals: { process: "readonly", require: "readonly", module: "readonly", __dirname: "readonly" },
    },
    rules: {
      ...tseslint.configs.disableTypeChecked.rules,
      "@typescript-eslint/no-require-imports": "off",
      "no-restricted-exports": "off",
    },
  },
  // Whatever disturbs a node goes through the gate, which looks again immediately before: nobody else gets hold of a client that can act.
  {
    files: ["**/*.ts"],
    ignores: ["provider/gate/**", "provider/kubernetesApi.ts", "talos/api/actor.ts", "test/**"],
    rules: {
      "no-restricted-imports": ["error", { patterns: gateOnly }],
      "no-restricted-syntax": [
        "error",
        {
          selector: "ImportExpression[source.value=/talos\\u002fapi\\u002factor|(^|\\u002f)actor\\.ts$/]",
          message: "Only provider/gate may connect a client that can disturb a node.",
        },
      ],
    },
  },
  { files: ["**/*.config.ts", "*.config.js"], rules: { "no-restricted-exports": "off" } },
);
