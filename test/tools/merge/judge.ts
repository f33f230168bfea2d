import { spawn, type ChildProcess } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Line } from "../../../talos/mergeRules.ts";
import { goEnvironment } from "../../../tools/goRun.ts";

/** A configuration, patches for it, and the result of our merge; null if it refused. */
export interface Question {
  readonly base: string;
  readonly patches: readonly string[];
  readonly ours: string | null;
}

/** Both results as written by the machinery (tools/machinery/judge.go). */
export interface Answer {
  readonly theirs?: string;
  readonly refused?: string;
  readonly phase?: "base" | "load" | "merge" | "result";
  readonly ours?: string;
  readonly oursRefused?: string;
  readonly valid: boolean;
  readonly oursValid: boolean;
  readonly invalid?: string;
}

/** Talos's configuration machinery of one line, in a long-running process. */
export class Judge {
  readonly #child: ChildProcess;
  readonly #waiting: { take: (answer: Answer) => void; fail: (error: Error) => void }[] = [];
  #complaints = "";

  constructor(line: Line) {
    const program = line === "v1.13" ? "machinery113" : "machinery114";
    this.#child = spawn("go", ["run", "-mod=readonly", ".", "merge"], {
      cwd: join(import.meta.dirname, "..", "..", "..", "tools", program),
      env: goEnvironment(process.env),
      stdio: ["pipe", "pipe", "pipe"],
    });
    const fail = (why: string): void => {
      for (const { fail } of this.#waiting.splice(0)) fail(new Error(`tools/${program}: ${why}`));
    };
    this.#child.once("error", (error) => fail(error.message));
    this.#child.once("close", (code) => fail(`ended with ${code}:\n${this.#complaints}`));
    this.#child.stdin?.on("error", () => undefined); // the exit of the process reports why
    this.#child.stderr?.on("data", (chunk: Buffer) => (this.#complaints += chunk.toString("utf8")));
    if (this.#child.stdout !== null)
      createInterface({ input: this.#child.stdout }).on("line", (text) =>
        this.#waiting.shift()?.take(JSON.parse(text) as Answer),
      );
  }

  ask(question: Question): Promise<Answer> {
    return new Promise((take, fail) => {
      this.#waiting.push({ take, fail });
      this.#child.stdin?.write(`${JSON.stringify(question)}\n`);
    });
  }

  /** Lets the process exit. */
  close(): void {
    this.#child.stdin?.end();
  }
}
