import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";
import type { Question } from "./expectedTypes.ts";

const root = fileURLToPath(new URL("../../..", import.meta.url));

// Identity, not mutual assignability. It distinguishes `x?: T` from `x: T | undefined`, `readonly` from writable, `any` from everything.
const prelude = `
import type * as pulumi from "@pulumi/pulumi";
import type * as talos from "@pulumiverse/talos";
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends (<T>() => T extends B ? 1 : 2) ? true : false;
declare function check<Answer extends true>(): Answer;
`.trimStart();

/** The SDK's types as the compiler sees them in a program of this repository. */
export class SdkTypes {
  readonly #program: ts.Program;
  readonly #wrong: Map<string, string>;

  constructor(questions: Question[]) {
    const file = join(root, "test/unit/talosSdk/questions.virtual.ts");
    const firstLine = prelude.split("\n").length - 1;
    const lines = questions.map(({ actual, expected }) => `check<Same<${actual}, ${expected}>>();`);
    this.#program = compile(file, prelude + lines.join("\n"));
    this.#wrong = new Map();
    const source = this.#program.getSourceFile(file);
    if (!source) throw new Error(`${file} was not compiled`);
    const diagnostics = [
      ...this.#program.getSyntacticDiagnostics(source),
      ...this.#program.getSemanticDiagnostics(source),
    ];
    for (const { start = 0, messageText } of diagnostics) {
      const question = questions[source.getLineAndCharacterOfPosition(start).line - firstLine];
      const message = ts.flattenDiagnosticMessageText(messageText, "\n");
      if (!question) throw new Error(`the questions do not compile: ${message}`);
      this.#wrong.set(question.about, `expected ${question.expected}: ${message}`);
    }
  }

  /** The questions with a wrong answer. */
  wrongAnswers(about: (about: string) => boolean = () => true): Record<string, string> {
    return Object.fromEntries([...this.#wrong].filter(([name]) => about(name)));
  }

  /** The names that a module of the SDK exports, types included. `path` is like `types.input.machine`. */
  exports(path: string): string[] {
    return this.#members(path)
      .map((symbol) => symbol.name)
      .sort();
  }

  /** Every property of a module's exported interfaces and classes, and whether it is documented or deprecated. */
  properties(path: string): { name: string; documented: boolean; deprecated: boolean }[] {
    const checker = this.#program.getTypeChecker();
    return this.#members(path).flatMap((member) =>
      checker
        .getDeclaredTypeOfSymbol(this.#resolve(member))
        .getProperties()
        .filter((property) =>
          property.declarations?.some((it) => it.getSourceFile().fileName.includes("sdks/talos")),
        )
        .map((property) => ({
          name: `${member.name}.${property.name}`,
          documented: property.getDocumentationComment(checker).length > 0,
          deprecated: property.getJsDocTags(checker).some((tag) => tag.name === "deprecated"),
        })),
    );
  }

  #members(path: string): ts.Symbol[] {
    const checker = this.#program.getTypeChecker();
    const index = this.#program.getSourceFile(join(root, "sdks/talos/index.ts"));
    let symbol = index && checker.getSymbolAtLocation(index);
    for (const name of path.split(".").filter(Boolean)) {
      const next = symbol && checker.getExportsOfModule(symbol).find((member) => member.name === name);
      symbol = next && this.#resolve(next);
    }
    if (!symbol) throw new Error(`the SDK has no module ${path}`);
    return checker.getExportsOfModule(symbol);
  }

  #resolve(symbol: ts.Symbol): ts.Symbol {
    const isAlias = (symbol.flags & ts.SymbolFlags.Alias) !== 0;
    return isAlias ? this.#program.getTypeChecker().getAliasedSymbol(symbol) : symbol;
  }
}

function compile(virtualFile: string, text: string): ts.Program {
  const configFile = join(root, "tsconfig.json");
  const read = ts.readConfigFile(configFile, (path) => ts.sys.readFile(path));
  const { options } = ts.parseJsonConfigFileContent(read.config, ts.sys, dirname(configFile), {
    noEmit: true,
  });
  const host = ts.createCompilerHost(options);
  const onDisk = { ...host };
  host.fileExists = (path) => path === virtualFile || onDisk.fileExists(path);
  host.readFile = (path) => (path === virtualFile ? text : onDisk.readFile(path));
  host.getSourceFile = (path, version) =>
    path === virtualFile ? ts.createSourceFile(path, text, version) : onDisk.getSourceFile(path, version);
  return ts.createProgram([virtualFile], options, host);
}
