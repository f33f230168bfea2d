import { CommandError } from "@pulumi/pulumi/automation/index.js";
import { LabError } from "./lifecycle.ts";
import { PluginLines } from "./pluginLines.ts";
import { releaseDeadLocks } from "./stackLock.ts";
import { hasState, openStack } from "./stack.ts";

/** The engine's operations as the lab offers them; users see the engine's own display. */

/**
 * Where the engine's output goes. It prints an error in its display and again on standard error; from there, only what the display lacked
 * is printed.
 */
class Display {
  readonly color = process.stdout.isTTY ? "always" : "never";
  #shown = "";
  #errors = "";
  readonly #plugins = new PluginLines();

  readonly onOutput = (text: string): void => {
    const shown = this.#plugins.filter(text);
    this.#shown += shown;
    process.stdout.write(shown);
  };
  readonly onError = (text: string): void => {
    this.#errors += text;
  };

  /** The engine has reported an error. A killed one hasn't. */
  get hasTold(): boolean {
    return /\berror: /.test(this.#shown) || /\berror: /.test(this.#errors);
  }

  /** Prints what only standard error had. */
  finish(): void {
    const rest = this.#plugins.rest();
    this.#shown += rest;
    process.stdout.write(rest);
    const unseen = this.#plugins
      .filter(`${this.#errors}\n`)
      .split("\n")
      .filter((line) => line.trim() !== "" && !this.#shown.includes(line.trim()));
    // The engine prints an error when it happens and once more at the end.
    if (unseen.length > 0) process.stderr.write(`${[...new Set(unseen)].join("\n")}\n`);
  }

  get options() {
    return {
      onOutput: this.onOutput,
      onError: this.onError,
      color: this.color,
      signal: this.#stop.signal,
    } as const;
  }

  readonly #stop = new AbortController();

  /**
   * Survives a Ctrl-C: the terminal sends it to the engine as well, which stops between steps and reports what is left undone. Other termination
   * signals reach this process alone, and are passed on.
   */
  async surviving<T>(work: () => Promise<T>): Promise<T> {
    const heard = (): void =>
      void process.stderr.write("stopping: the engine finishes what it can't leave half done\n");
    const handOn = (): void => this.#stop.abort();
    // Not `once`: it removes the listener before calling it, and other handlers, which look for listeners, would then end the process.
    process.on("SIGINT", heard);
    process.on("SIGTERM", handOn);
    process.on("SIGHUP", handOn);
    try {
      return await work();
    } finally {
      process.off("SIGINT", heard);
      process.off("SIGTERM", handOn);
      process.off("SIGHUP", handOn);
    }
  }
}

/** Preview, then update, as `pulumi up --yes` does. A first deployment is updated right away, and so is any with `skipPreview`. */
export async function up(stackName: string, options: { skipPreview: boolean }): Promise<void> {
  const isFirst = !hasState(stackName); // checked before the stack is opened, which creates it
  await runEngine(stackName, async (stack, display) => {
    if (isFirst) {
      process.stdout.write("Nothing is deployed yet, so everything is created now.\n");
    } else if (!options.skipPreview) {
      const planned = await stack.preview({ ...display });
      if (Object.keys(planned.changeSummary).every((operation) => operation === "same")) {
        process.stdout.write("Nothing to change: every resource is up to date.\n");
        return;
      }
    }
    await stack.up({ ...display, suppressOutputs: true });
  });
}

export async function preview(stackName: string, options: { refresh: boolean }): Promise<void> {
  await runEngine(stackName, (stack, display) =>
    stack.preview({ ...display, diff: true, ...(options.refresh ? { refresh: true } : {}) }),
  );
}

export async function refresh(stackName: string): Promise<void> {
  requireState(stackName);
  await runEngine(stackName, (stack, display) => stack.refresh({ ...display }));
}

export async function destroy(stackName: string, options: { runProgram: boolean }): Promise<void> {
  requireState(stackName);
  await runEngine(stackName, (stack, display) =>
    stack.destroy({ ...display, ...(options.runProgram ? { runProgram: true } : {}) }),
  );
}

function requireState(stackName: string): void {
  if (!hasState(stackName))
    throw new LabError(
      `nothing is deployed on this lab yet (stack ${stackName}); deploy with: npm run lab -- up`,
    );
}

type Stack = Awaited<ReturnType<typeof openStack>>;

/** The engine has shown its own diagnostics; this only adds that it failed and that nothing was lost. */
async function runEngine(
  stackName: string,
  operation: (stack: Stack, display: Display["options"]) => Promise<unknown>,
): Promise<void> {
  const stack = await openStack(stackName);
  await releaseDeadLocks(stack, (line) => process.stderr.write(`${line}\n`));
  const display = new Display();
  try {
    await display.surviving(() => operation(stack, display.options));
  } catch (error) {
    if (error instanceof CommandError) {
      const cause = display.hasTold
        ? "the engine's operation failed; the cause is shown above"
        : "the engine exited without giving a reason: it was killed, or could not start";
      throw new LabError(`${cause}. The lab and the state are kept: fix the cause and rerun the command.`);
    }
    throw error;
  } finally {
    display.finish();
  }
}
