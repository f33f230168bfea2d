import * as pulumi from "@pulumi/pulumi";

/**
 * An object whose `password` may be an Output, made ready for a schema of plain values: a password that is not known yet
 * is replaced by a text, since anything that another resource or a secret gives may pass. All else stays, right or wrong.
 */
export function withKnownPassword(value: unknown): unknown {
  if (typeof value !== "object" || value === null || !("password" in value)) return value;
  const { password } = value;
  const pending = pulumi.Output.isInstance(password) || password instanceof Promise;
  return pending ? { ...value, password: "known later" } : value;
}
