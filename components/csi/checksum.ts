import { createHmac } from "node:crypto";
import * as pulumi from "@pulumi/pulumi";

/**
 * A short text that changes when a secret's content changes, and reveals nothing else about it. As an annotation of the pod template it restarts the pods that
 * read the secret.
 *
 * It must be readable in two places, by people who may not know the password: in the cluster by anyone who may list pods (the role `view` may, but may not read
 * secrets), and in the preview, where a secret annotation would show as `[secret]`. A plain hash of a configuration whose only unknown is a password can be
 * brute-forced offline, so the hash is keyed with the Secret object's uid: 122 random bits from the API server, invisible to `view`, and encrypted in Pulumi's
 * state (`additionalSecretOutputs: ["metadata"]` on the Secret). Anyone who can read the key can read the Secret itself. That is why it is safe to unmark the
 * result as a secret.
 */
export function keyedChecksum(
  key: pulumi.Input<string | undefined>,
  content: pulumi.Input<string>,
): pulumi.Output<string> {
  return pulumi.unsecret(pulumi.all([key, content]).apply(([uid, text]) => checksum(uid, text)));
}

/** The pure part of `keyedChecksum`. */
function checksum(key: string | undefined, content: string): string {
  // A provider that only renders YAML knows no uid. No automatic restart is better than a hash that can be brute-forced.
  if (key === undefined || key === "") return "none";
  return createHmac("sha256", key).update(content).digest("hex").slice(0, 16);
}
