import type { Problem } from "../components/csi/problems.ts";
import { kindOf, nodeAt, PatchSource, type PatchDocument } from "../talos/patchSource.ts";

/** Whole documents that a node's machine configuration gets beside its own: what makes one ours, or none. */

/** What this program writes into the configuration of the node itself. */
export interface OurDocuments {
  /** Set where the host name is. */
  hostname: boolean;
  subnets: boolean;
  nameservers: boolean;
  vip: boolean;
  /** Names of the links that the settings list. */
  links: readonly string[];
}

export interface LocatedText {
  path: string;
  text: string;
}

/** Everything that keeps a text from being a document of its own. What Talos itself thinks of it is judged with the patches. */
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
          "has no kind, so it is not a document; changes of the main configuration belong under patches",
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
      else say(node, `document ${key} is given by ${other} too; Talos takes each once`);
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
      return name === "PodSecurity"
        ? "the namespaces of the drivers, or a patch for more of them"
        : undefined;
    case "KernelModuleConfig":
      return name === "iscsi_tcp" ? "nothing: it is always there" : undefined;
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
