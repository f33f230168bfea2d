import { parseConfig, textOf } from "./configTree.ts";

/** The host name that a machine configuration gives, by which Kubernetes then knows the node; undefined where the machine or its network decides. */
export function hostnameOf(configuration: string): string | undefined {
  const names = parseConfig(configuration).flatMap((document) => {
    const kind = textOf(document, "kind");
    if (kind === undefined) return textOf(document, "machine", "network", "hostname") ?? [];
    return kind === "HostnameConfig" ? (textOf(document, "hostname") ?? []) : [];
  });
  return names.at(-1);
}
