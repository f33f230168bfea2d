import { execFile, spawn } from "node:child_process";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { stringify } from "yaml";
import { projectDir } from "../../layout.ts";
import { languageHost, type PluginChoice } from "../../pluginPaths.ts";
import { bareState } from "./bareState.ts";
import { UsageWatch, type Usage } from "./usage.ts";

/** One measured command of plain `pulumi`. */
export interface Run extends Usage {
  seconds: number;
  output: string;
}

/** A project folder with its own state, apart from any lab, in which plain `pulumi` runs as a user would run it. */
export class ScaleProject {
  readonly dir: string;
  readonly #pulumi: string;
  readonly #environment: Record<string, string>;

  private constructor(
    dir: string,
    tools: Record<string, string>,
    plugins: readonly PluginChoice[],
    environment: Record<string, string>,
  ) {
    this.dir = dir;
    for (const name of ["bin", "home", "state"]) mkdirSync(join(dir, name));
    const programs: [string, string][] = [
      ...Object.entries(tools),
      ...plugins.map(({ name, path }): [string, string] => [`pulumi-resource-${name}`, path]),
      ["node", process.execPath],
    ];
    // If no published host is installed, the tests' stand-in still starts Pulumi's own program runner.
    if (languageHost(tools["pulumi"] ?? "") === undefined) {
      const standIn = "pulumi-language-nodejs";
      programs.push([standIn, join(projectDir, "test", "lab", "languageHost", standIn)]);
    }
    for (const [name, path] of programs) symlinkSync(path, join(dir, "bin", name));
    this.#pulumi = join(dir, "bin", "pulumi");
    this.#environment = {
      PATH: [join(dir, "bin"), process.env["PATH"] ?? ""].join(delimiter),
      PULUMI_HOME: join(dir, "home"),
      PULUMI_BACKEND_URL: pathToFileURL(join(dir, "state")).href,
      PULUMI_CONFIG_PASSPHRASE: "of the bench",
      PULUMI_SKIP_UPDATE_CHECK: "true",
      PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION: "true",
      ...environment,
    };
  }

  /** This project's program and provider, with no stack yet. */
  static ofProgram(tools: Record<string, string>, plugins: readonly PluginChoice[]): ScaleProject {
    const dir = mkdtempSync(join(tmpdir(), "talos-iscsi-scale-"));
    const project = new ScaleProject(dir, tools, plugins, {});
    const left = new Set([".git", ".lab", ".tools", "bin", "home", "state", "Pulumi.yaml"]);
    for (const entry of readdirSync(projectDir))
      if (!left.has(entry) && !/^Pulumi\..+\.yaml$/.test(entry))
        symlinkSync(join(projectDir, entry), join(dir, entry));
    copyFileSync(join(projectDir, "Pulumi.yaml"), join(dir, "Pulumi.yaml"));
    return project;
  }

  /** The project of a lab in this folder, with the lab's own state. */
  static ofLab(
    dir: string,
    tools: Record<string, string>,
    plugins: readonly PluginChoice[],
    environment: Record<string, string>,
  ): ScaleProject {
    return new ScaleProject(dir, tools, plugins, environment);
  }

  /** One of the bare programs next to this file; it registers these resources from the same SDKs. */
  static ofBare(
    tools: Record<string, string>,
    plugins: readonly PluginChoice[],
    resources: unknown,
    program: "bareProgram.ts" | "bareDeployed.ts" = "bareProgram.ts",
    environment: Record<string, string> = {},
  ): ScaleProject {
    const dir = mkdtempSync(join(tmpdir(), "talos-iscsi-bare-"));
    const project = new ScaleProject(dir, tools, plugins, environment);
    symlinkSync(join(projectDir, "node_modules"), join(dir, "node_modules"));
    const bare = {
      name: "bare",
      runtime: { name: "nodejs", options: { typescript: false } },
      plugins: { providers: [{ name: "talos-node", path: join(projectDir, "provider") }] },
    };
    writeFileSync(join(dir, "Pulumi.yaml"), stringify(bare));
    writeFileSync(
      join(dir, "package.json"),
      JSON.stringify({ name: "bare", type: "module", main: "main.ts" }),
    );
    writeFileSync(join(dir, "resources.json"), JSON.stringify(resources), { mode: 0o600 });
    copyFileSync(join(projectDir, "lab", "bench", "scale", program), join(dir, "main.ts"));
    return project;
  }

  /** A bare program with the state of this deployed stack, in which nothing should change. */
  async deployedBare(
    stack: string,
    tools: Record<string, string>,
    plugins: readonly PluginChoice[],
  ): Promise<ScaleProject> {
    const exported = await this.plain(["stack", "export", "--show-secrets", "--stack", stack]);
    const { state, resources } = bareState(exported);
    // The state holds the salt of its secrets.
    const { PULUMI_CONFIG_PASSPHRASE: passphrase = "" } = this.#environment;
    const bare = ScaleProject.ofBare(tools, plugins, resources, "bareDeployed.ts", {
      PULUMI_CONFIG_PASSPHRASE: passphrase,
    });
    const file = join(bare.dir, "state.json");
    writeFileSync(file, state, { mode: 0o600 });
    await bare.init("bare", "config: {}");
    await bare.plain(["stack", "import", "--stack", "bare", "--file", file]);
    return bare;
  }

  /** Creates the stack with this file. */
  async init(stack: string, file: string): Promise<void> {
    await this.plain(["stack", "init", stack]);
    // `stack init` has written the salt of its secrets.
    const own = join(this.dir, `Pulumi.${stack}.yaml`);
    const salt = existsSync(own) ? readFileSync(own, "utf8") : "";
    writeFileSync(own, `${file.trimEnd()}\n${salt}`);
  }

  /** Runs a command without measuring it. */
  async plain(args: string[]): Promise<string> {
    const { stdout } = await promisify(execFile)(this.#pulumi, [...args, "--non-interactive"], {
      cwd: this.dir,
      env: { ...process.env, ...this.#environment },
      maxBuffer: 1 << 30,
    });
    return stdout;
  }

  /** Runs a command and measures what it and its processes use. */
  async measured(args: string[]): Promise<Run> {
    const begun = performance.now();
    const child = spawn(this.#pulumi, [...args, "--non-interactive", "--color", "never"], {
      cwd: this.dir,
      env: { ...process.env, ...this.#environment },
      stdio: ["ignore", "pipe", "pipe"],
    });
    const watch = new UsageWatch(child.pid ?? -1);
    const printed: Buffer[] = [];
    child.stdout.on("data", (chunk: Buffer) => printed.push(chunk));
    child.stderr.on("data", (chunk: Buffer) => printed.push(chunk));
    const code = await new Promise<number | null>((resolve) => child.once("close", resolve));
    const seconds = (performance.now() - begun) / 1000;
    const usage = watch.stop();
    const output = Buffer.concat(printed).toString("utf8");
    if (code !== 0) throw new Error(`pulumi ${args.join(" ")} ended with ${code}:\n${output.slice(-6_000)}`);
    return { ...usage, seconds, output };
  }

  remove(): void {
    rmSync(this.dir, { recursive: true, force: true });
  }
}
