import { execFileSync, spawn } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { labReport } from "../../lab/control.ts";
import { labFiles } from "../../lab/layout.ts";

/**
 * A copy of this project to run a lab in. Tests may change its stack files and never touch the lab of the person who runs them. Only the installed
 * packages and the built tools are shared.
 */

const source = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

/** All copies share the built tools. */
const sharedTools = (): string => process.env["TALOS_ISCSI_TOOLS"] ?? join(source, ".tools");

/** A command that takes longer hangs. Shorter than the time limit of a test, which would not show what the command printed. */
const commandLimitMs = 480_000;

export interface Finished {
  code: number | null;
  /** stdout and stderr interleaved, in order. */
  text: string;
  stdout: string;
}

export class LabProject {
  readonly dir: string;

  static async make(): Promise<LabProject> {
    if ((await labReport(labFiles.socket)) !== undefined) {
      throw new Error(
        "A lab is running, and the tests need its addresses (127.10.0.0/16). Stop it first: npm run lab -- stop",
      );
    }
    return new LabProject();
  }

  private constructor() {
    this.dir = mkdtempSync(join(tmpdir(), "talos-iscsi-"));
    const files = execFileSync("git", ["ls-files", "--cached", "--others", "--exclude-standard", "-z"], {
      cwd: source,
      encoding: "utf8",
    });
    for (const file of files.split("\0").filter((name) => name !== "")) {
      mkdirSync(dirname(join(this.dir, file)), { recursive: true });
      cpSync(join(source, file), join(this.dir, file), { force: true });
    }
    symlinkSync(join(source, "node_modules"), join(this.dir, "node_modules"));
  }

  /** Runs `npm run lab -- <args>`. */
  lab(...args: string[]): Promise<Finished> {
    return this.run(process.execPath, [join("lab", "cli.ts"), ...args]);
  }

  /** Runs a lab command that must succeed. Throws with its output otherwise. */
  async labOk(...args: string[]): Promise<Finished> {
    const finished = await this.lab(...args);
    if (finished.code !== 0)
      throw new Error(`lab ${args.join(" ")} ended with ${finished.code}:\n${finished.text.slice(-6000)}`);
    return finished;
  }

  /** Runs one of the lab's tools against the lab's cluster. */
  async tool(name: "talosctl" | "kubectl", ...args: string[]): Promise<string> {
    const credentials =
      name === "talosctl"
        ? ["--talosconfig", this.file("talosconfig")]
        : ["--kubeconfig", this.file("kubeconfig")];
    const finished = await this.run(join(this.dir, ".lab", "bin", name), [...credentials, ...args]);
    if (finished.code !== 0)
      throw new Error(`${name} ${args.join(" ")} ended with ${finished.code}:\n${finished.text}`);
    return finished.stdout;
  }

  /** Applies an object to the lab's cluster. */
  async apply(object: object): Promise<void> {
    const path = this.file("object.json");
    writeFileSync(path, JSON.stringify(object));
    await this.tool("kubectl", "apply", "--filename", path);
  }

  /** @param interruptAt output at which it gets a Ctrl-C, sent to its whole process group as a terminal does */
  run(file: string, args: string[], env: NodeJS.ProcessEnv = {}, interruptAt?: RegExp): Promise<Finished> {
    return new Promise((resolve, reject) => {
      const child = spawn(file, args, {
        cwd: this.dir,
        detached: interruptAt !== undefined, // its own process group
        env: { ...process.env, NO_COLOR: "1", TALOS_ISCSI_TOOLS: sharedTools(), ...env },
        stdio: ["ignore", "pipe", "pipe"],
      });
      let text = "";
      let stdout = "";
      let interrupt = interruptAt;
      const take = (chunk: Buffer): void => {
        text += chunk.toString("utf8");
        if (interrupt?.test(text) === true && child.pid !== undefined) {
          interrupt = undefined;
          process.kill(-child.pid, "SIGINT");
        }
      };
      child.stdout.on("data", (chunk: Buffer) => {
        stdout += chunk.toString("utf8");
        take(chunk);
      });
      child.stderr.on("data", take);
      const limit = setTimeout(() => {
        child.kill("SIGKILL");
        const printed = `${file} ${args.join(" ")} has not ended after ${commandLimitMs / 60_000} minutes. It printed:\n${text}`;
        reject(new Error(printed));
      }, commandLimitMs);
      child.once("error", reject);
      child.once("close", (code) => {
        clearTimeout(limit);
        resolve({ code, text, stdout });
      });
    });
  }

  /** Runs plain `pulumi` on the lab's state, with the program loaded by the language host. */
  pulumi(...args: string[]): Promise<Finished> {
    return this.run(
      join(this.dir, ".lab", "bin", "pulumi"),
      [...args, "--non-interactive"],
      this.pulumiEnvironment(),
    );
  }

  pulumiEnvironment(): NodeJS.ProcessEnv {
    const path = [
      join(this.dir, ".lab", "bin"),
      join(this.dir, "test", "lab", "languageHost"),
      process.env["PATH"],
    ];
    return {
      PATH: path.join(delimiter),
      PULUMI_BACKEND_URL: pathToFileURL(join(this.dir, ".lab", "state")).href,
      PULUMI_CONFIG_PASSPHRASE: "talos-iscsi-lab",
      PULUMI_SKIP_UPDATE_CHECK: "true",
    };
  }

  file(name: string): string {
    return join(this.dir, ".lab", name);
  }

  /** Changes a stack file while `work` runs. */
  async withStackFile<T>(
    stack: string,
    change: (text: string) => string,
    work: () => Promise<T>,
  ): Promise<T> {
    const path = join(this.dir, `Pulumi.${stack}.yaml`);
    const before = readFileSync(path, "utf8");
    const after = change(before);
    if (after === before) throw new Error(`the change of ${path} changed nothing`);
    writeFileSync(path, after);
    try {
      return await work();
    } finally {
      writeFileSync(path, before);
    }
  }

  async remove(): Promise<void> {
    await this.lab("stop");
    rmSync(this.dir, { recursive: true, force: true });
  }
}
