import { createHmac } from "node:crypto";
import * as pulumi from "@pulumi/pulumi";

/**
 * A short text that changes when a secret's content changes, and tells nothing else about it. As an annotation of the
 * pod template it restarts the pods that read the secret.
 *
 * It has to be readable twice over, by people whom the password is kept from: in the cluster by whoever may list pods
 * (the role `view` may, but may not read secrets), and in the preview, where a secret annotation would show as `[secret]`.
 * A bare hash of a configuration whose only unknown is a password can be tried out offline, so the hash is keyed with the
 * Secret object's uid: 122 random bits made by the API server, invisible to `view`, and kept encrypted in Pulumi's state
 * (`additionalSecretOutputs: ["metadata"]` on the Secret). Whoever can read the key can read the Secret itself.
 * That is what makes it safe to take the mark of a secret off the result.
 */
export function keyedChecksum(
  key: pulumi.Input<string | undefined>,
  content: pulumi.Input<string>,
): pulumi.Output<string> {
  return pulumi.unsecret(pulumi.all([key, content]).apply(([uid, text]) => checksum(uid, text)));
}

/** The pure part of `keyedChecksum`. */
function checksum(key: string | undefined, content: string): string {
  // A provider that only renders YAML knows no uid. Better no restart by itself than a hash that can be tried out.
  if (key === undefined || key === "") return "none";
  return createHmac("sha256", key).update(content).digest("hex").slice(0, 16);
}
