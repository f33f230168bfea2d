import { parseConfig, textOf } from "./configTree.ts";

/** The host name in a machine configuration, which becomes the Kubernetes node name; undefined if the machine or its network decides. */
export function hostnameOf(configuration: string): string | undefined {
  const names = parseConfig(configuration).flatMap((document) => {
    const kind = textOf(document, "kind");
    if (kind === undefined) return textOf(document, "machine", "network", "hostname") ?? [];
    return kind === "HostnameConfig" ? (textOf(document, "hostname") ?? []) : [];
  });
  return names.at(-1);
}
