import type { Command } from "commander";

/** Ends with exit code 2 for arguments that a command does not take: 1 is what it found. */
export function refuseWrongArguments(command: Command): Command {
  return command.exitOverride(({ exitCode }) => process.exit(exitCode === 0 ? 0 : 2));
}
