import { packageSpec, type PackageParts, type PackageSpec } from "./packageSpec.ts";
import manifest from "./package.json" with { type: "json" };
import parts from "./schema.json" with { type: "json" };

export const nodePackage = "talos-node";

/** The resources of the plugin `talos-node` for programs in any language. `npm run schema` generates them from the classes in components/. */
export const nodeParts = parts as PackageParts;

/** The schema of the package `talos-node`. A release sets in package.json where the engine finds its plugin. */
export function nodePackageSpec(): PackageSpec {
  const { version, server }: { version: string; server?: string } = manifest;
  return packageSpec(
    {
      name: nodePackage,
      version,
      displayName: "Talos node",
      description:
        "Nodes of Talos Linux clusters: machine configurations and upgrades that keep the cluster up.",
    },
    server,
    nodeParts,
  );
}
