import { coded, type ErrorCode } from "../../talos/errorCodes.ts";
import * as pulumi from "@pulumi/pulumi";
import type { z } from "zod";

/** One thing that is wrong with the settings of a component. */
export interface Problem {
  /** Where, as a path in the stack's file: `pools[0].storageClasses[1].name`. */
  path: string;
  /** What is wrong and what would be right. */
  reason: string;
  /** Its code, where the path alone does not tell it. */
  code?: ErrorCode;
}

/** Writes a path the way a reader of the stack's file would: `["pools", 0, "name"]` becomes `pools[0].name`. */
function pathText(path: readonly PropertyKey[]): string {
  return path.reduce<string>((text, part) => {
    if (typeof part === "number") return `${text}[${part}]`;
    return text === "" ? String(part) : `${text}.${String(part)}`;
  }, "");
}

/** Turns the issues of a schema into problems: one for each unknown key, the others one to one. */
export function problemsFromIssues(issues: readonly z.core.$ZodIssue[]): Problem[] {
  return issues.flatMap((issue) =>
    issue.code === "unrecognized_keys"
      ? issue.keys.map((key) => ({ path: pathText([...issue.path, key]), reason: issue.message }))
      : [{ path: pathText(issue.path), reason: issue.message }],
  );
}

/** The error of a component whose arguments are wrong: all problems at once, each with its property path. */
export function inputError(
  component: string,
  name: string,
  problems: readonly Problem[],
): pulumi.InputPropertiesError {
  const lines = problems.map(({ path, reason }) => `  ${path === "" ? "(arguments)" : path}: ${reason}`);
  const head = coded("arguments", `${component} "${name}" cannot be created from these arguments`);
  return new pulumi.InputPropertiesError({
    message: `${head}:\n${lines.join("\n")}`,
    errors: problems.map(({ path, reason }) => ({ propertyPath: path, reason: coded("arguments", reason) })),
  });
}
