/** The links already in a node's machine configuration, in either form: `machine.network.interfaces`, or documents. */
import { canonicalText } from "./configMeaning.ts";
import { isTreeList, parseConfig, textOf, treeAt, type Tree, type TreeMap } from "./configTree.ts";
import { documentRule } from "./mergeRules.ts";
import type { DeviceSelector, LinkName } from "./networkPatch.ts";

/** Links of a configuration that patches are applied to. */
export interface BaseLinks {
  /** Whether the file has documents for its links. */
  readonly documents: boolean;
  /** Whether `machine.network.interfaces` has the link. */
  has(link: LinkName): boolean;
  /** Whether that link already has a default route through the gateway, without an explicit destination. */
  hasDefaultRoute(link: LinkName, gateway: string): boolean;
  /** The kind of the document with the link: LinkConfig, BondConfig, …; undefined if there is none. */
  kindOf(name: string): string | undefined;
  /** The name that the file assigns to the link matching an expression. */
  aliasOf(match: string): string | undefined;
  /** All names assigned to links by their properties. */
  readonly aliases: ReadonlySet<string>;
}

/** Reads a machine configuration; throws `ConfigTextError` if it is invalid. */
export function readBaseLinks(base: string): BaseLinks {
  const all = parseConfig(base);
  const main = all.find((document) => textOf(document, "kind") === undefined);
  const list = treeAt(main, "machine", "network", "interfaces");
  const interfaces: readonly Tree[] = isTreeList(list) ? list : [];
  const links = all.filter((document) => isLink(textOf(document, "kind")));
  const aliases = all.filter((document) => textOf(document, "kind") === "LinkAliasConfig");
  const item = (link: LinkName): Tree | undefined => interfaces.find((other) => isLinkItem(other, link));
  return {
    documents: links.length + aliases.length > 0,
    has: (link) => item(link) !== undefined,
    hasDefaultRoute: (link, gateway) => {
      const routes = treeAt(item(link), "routes");
      return (
        isTreeList(routes) &&
        routes.some((route) => textOf(route, "network") === undefined && textOf(route, "gateway") === gateway)
      );
    },
    kindOf: (name) =>
      textOf(
        links.find((document) => textOf(document, "name") === name),
        "kind",
      ),
    aliasOf: (match) =>
      textOf(
        aliases.find((document) => textOf(document, "selector", "match") === match),
        "name",
      ),
    aliases: new Set(aliases.flatMap((document: TreeMap) => textOf(document, "name") ?? [])),
  };
}

/** Link kinds are LinkConfig and those that conflict with a LinkConfig of the same name. */
function isLink(kind: string | undefined): boolean {
  return (
    kind === "LinkConfig" ||
    (kind !== undefined && documentRule("LinkConfig")?.conflicts.includes(kind) === true)
  );
}

function isLinkItem(item: Tree, link: LinkName): boolean {
  const name = textOf(item, "interface");
  if (link.interface !== undefined || name !== undefined) return name === link.interface;
  return canonicalText(treeAt(item, "deviceSelector")) === canonicalText(selectorTree(link.deviceSelector));
}

function selectorTree(selector: DeviceSelector = {}): Tree {
  return new Map(
    Object.entries(selector).flatMap(([key, value]: [string, string | undefined]): [string, Tree][] =>
      value === undefined ? [] : [[key, { text: value, plain: false }]],
    ),
  );
}
