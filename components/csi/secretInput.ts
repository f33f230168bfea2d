import * as pulumi from "@pulumi/pulumi";

/**
 * Prepares an object whose `password` may be an Output for a schema of plain values: an unknown password is replaced by a placeholder, since any value from
 * another resource or a secret is accepted. Everything else stays, valid or not.
 */
export function withKnownPassword(value: unknown): unknown {
  if (typeof value !== "object" || value === null || !("password" in value)) return value;
  const { password } = value;
  const pending = pulumi.Output.isInstance(password) || password instanceof Promise;
  return pending ? { ...value, password: "known later" } : value;
}
