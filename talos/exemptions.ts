/** The namespaces that PodSecurity leaves alone, wherever a configuration or a patch says so. */
import { isLeaf, isTreeList, isTreeMap, parseTree, textOf, treeAt, type Tree } from "./configTree.ts";

const inPlugin = ["configuration", "exemptions", "namespaces"] as const;

/** The exempted namespaces in a text of YAML, in their order; throws `ConfigTextError`. */
export function exemptedNamespaces(text: string): string[] {
  return parseTree(text).flatMap((document) => {
    if (!isTreeMap(document)) return [];
    const plugins = treeAt(document, "cluster", "apiServer", "admissionControl");
    const own = textOf(document, "kind") === "KubeAdmissionControlConfig" ? [document] : [];
    return [...(isTreeList(plugins) ? plugins : []), ...own].flatMap(namespacesOf);
  });
}

function namespacesOf(plugin: Tree): string[] {
  const list = treeAt(plugin, ...inPlugin);
  return isTreeList(list) ? list.flatMap((item) => (isLeaf(item) ? [item.text] : [])) : [];
}
