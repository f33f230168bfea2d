import type { Problem } from "../components/csi/problems.ts";
import { kindOf, nodeAt, PatchSource, type PatchDocument } from "../talos/patchSource.ts";

/** Extra documents of a node's machine configuration: each must be a whole document, and not one that this program writes. */

/** What this program writes into a node's configuration. */
export interface OurDocuments {
  /** Whether the host name is set. */
  hostname: boolean;
  subnets: boolean;
  nameservers: boolean;
  vip: boolean;
  /** Whether the node loads iscsi_tcp. */
  iscsi: boolean;
  /** Names of the links that the settings list. */
  links: readonly string[];
}

export interface LocatedText {
  path: string;
  text: string;
}

/** Why texts cannot be used as documents. Talos's own rules are checked together with the patches. */
export function documentProblems(given: readonly LocatedText[], ours: OurDocuments): Problem[] {
  const problems: Problem[] = [];
  const seen = new Map<string, string>();
  given.forEach(({ path, text }, index) => {
    for (const part of new PatchSource(text, index).parts()) {
      const { kind, node } = kindOf(part);
      const say = (at: Parameters<PatchDocument["problem"]>[0], reason: string): void => {
        problems.push({ path, reason: `line ${part.problem(at, "").line}: ${reason}` });
      };
      if (kind === "") {
        say(
          undefined,
          "has no kind, so it is not a document; changes to the main configuration belong under patches",
        );
        continue;
      }
      if (part.root.has("$patch")) {
        say(nodeAt(part, ["$patch"]), "is a patch ($patch), not a document; put it under patches");
        continue;
      }
      const name: unknown = part.root.get("name");
      const setting = settingFor(kind, typeof name === "string" ? name : "", ours);
      if (setting !== undefined)
        say(
          node,
          `document ${kind}${typeof name === "string" ? ` ${name}` : ""} is written by this program; use ${setting}`,
        );
      const key = typeof name === "string" ? `${kind} ${name}` : kind;
      const other = seen.get(key);
      if (other === undefined) seen.set(key, path);
      else say(node, `document ${key} is also in ${other}; Talos accepts each document only once`);
    }
  });
  return problems;
}

/** The setting that a document of ours is written from; undefined for any other document. */
function settingFor(kind: string, name: string, ours: OurDocuments): string | undefined {
  switch (kind) {
    case "HostnameConfig":
      return ours.hostname ? "the node's name or hostname" : undefined;
    case "UnattendedInstallConfig":
      return "talosVersion, image, and the node's installDisk or diskSelector";
    case "KubeAdmissionControlConfig":
      return name === "PodSecurity" ? "the drivers' namespaces, or a patch for other namespaces" : undefined;
    case "KernelModuleConfig":
      return ours.iscsi && name === "iscsi_tcp" ? "the node's iscsi" : undefined;
    case "KubeNetworkConfig":
      return ours.subnets ? "cluster.podSubnets and cluster.serviceSubnets" : undefined;
    case "ResolverConfig":
      return ours.nameservers ? "the node's network.nameservers" : undefined;
    case "Layer2VIPConfig":
      return ours.vip ? "cluster.vip" : undefined;
    case "LinkConfig":
    case "LinkAliasConfig":
    case "DHCPv4Config":
      return ours.links.includes(name) ? "the node's network.interfaces" : undefined;
    default:
      return undefined;
  }
}
