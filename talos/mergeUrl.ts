/** Merges two URLs like Talos: part by part, the patch's parts override. */
import type { Leaf } from "./configTree.ts";
import { PatchRefused } from "./patchRefused.ts";

// The parts that Go's net/url distinguishes.
const PARTS =
  /^(?:([A-Za-z][A-Za-z\d+.-]*):)?(?:\/\/(?:([^/?#@]*)@)?([^/?#]*))?([^?#]*)(\?[^#]*)?(#[\s\S]*)?$/;

export function mergeUrls(base: Leaf, patch: Leaf, path: string): Leaf {
  const [has, sets] = [PARTS.exec(base.text), PARTS.exec(patch.text)];
  if (has === null || sets === null) return patch;
  if (has[2] !== undefined && sets[2] !== undefined)
    throw new PatchRefused(`cannot set ${path}: Talos refuses to merge two URLs that have a user name`);
  const part = (index: number): string => sets[index] || has[index] || "";
  const [scheme, user, host, rest] = [part(1), part(2), part(3), part(4)];
  const [query, fragment] = [part(5), part(6)];
  const authority = host === "" && user === "" ? "" : `//${user === "" ? "" : `${user}@`}${host}`;
  const slash = authority !== "" && rest !== "" && !rest.startsWith("/") ? "/" : "";
  return {
    text: `${scheme === "" ? "" : `${scheme}:`}${authority}${slash}${rest}${query === "?" ? (sets[5] ?? "") : query}${fragment}`,
    plain: patch.plain,
  };
}
