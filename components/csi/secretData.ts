import * as pulumi from "@pulumi/pulumi";

/**
 * Text as the `data` of a Kubernetes Secret, in base64. Not `stringData`: the Kubernetes plugin converts that to `data` only once the text is known, and the
 * engine reports the new property as a deviation from the saved plan (`pulumi up --plan`).
 */
export function secretData(text: pulumi.Input<string>): pulumi.Input<string> {
  return typeof text === "string" ? base64(text) : pulumi.output(text).apply(base64);
}

function base64(text: string): string {
  return Buffer.from(text, "utf8").toString("base64");
}
