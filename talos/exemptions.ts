/** The namespaces exempt from PodSecurity, wherever a configuration or a patch names them. */
import { isLeaf, isTreeList, isTreeMap, parseTree, textOf, treeAt, type Tree } from "./configTree.ts";

const inPlugin = ["configuration", "exemptions", "namespaces"] as const;

/** The exempted namespaces in YAML text, in order; throws `ConfigTextError`. */
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
