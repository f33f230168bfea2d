import { coded, type ErrorCode } from "../../talos/errorCodes.ts";
import * as pulumi from "@pulumi/pulumi";
import type { z } from "zod";

/** One problem in a component's settings. */
export interface Problem {
  /** Its path in the stack's file: `pools[0].storageClasses[1].name`. */
  path: string;
  /** The problem and the fix. */
  reason: string;
  /** Its code, if the path alone doesn't determine it. */
  code?: ErrorCode;
}

/** Formats a path as in the stack's file: `["pools", 0, "name"]` becomes `pools[0].name`. */
function pathText(path: readonly PropertyKey[]): string {
  return path.reduce<string>((text, part) => {
    if (typeof part === "number") return `${text}[${part}]`;
    return text === "" ? String(part) : `${text}.${String(part)}`;
  }, "");
}

/** Converts schema issues to problems: one per unknown key, the others one to one. */
export function problemsFromIssues(issues: readonly z.core.$ZodIssue[]): Problem[] {
  return issues.flatMap((issue) =>
    issue.code === "unrecognized_keys"
      ? issue.keys.map((key) => ({ path: pathText([...issue.path, key]), reason: issue.message }))
      : [{ path: pathText(issue.path), reason: issue.message }],
  );
}

/** The error of a component with invalid arguments: all problems at once, each with its property path. */
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
