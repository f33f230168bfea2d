/** `*` matches any text, and no other character is special (github.com/ryanuber/go-glob, which Talos uses). */
export function matchesGlob(pattern: string, text: string): boolean {
  const source = pattern.replace(/[.+^${}()|[\]\\?]/g, "\\$&").replaceAll("*", ".*");
  return new RegExp(`^${source}$`, "s").test(text);
}
