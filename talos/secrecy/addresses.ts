/** Passwords and tokens in addresses: of servers, proxies, databases, iSCSI targets. */
import type { Span } from "./text.ts";

/** Passwords in addresses, with and without a scheme: `https://user:pw@host`, `user:pw@host`. A password may contain `@` and `/`. */
export function passwordsInAddresses(text: string): Span[] {
  const words = [...text.matchAll(/[^\s"'`<>\\]+/g)].flatMap(({ index, 0: word }): Span[] => {
    const at = lastUserinfo(word);
    if (at === undefined) return [];
    const scheme = /^(?:[^/@]*?[(=,[])?([a-z][a-z0-9+.-]*):\/\//i.exec(word);
    const from = index + (scheme?.[0].length ?? 0);
    const userinfo = word.slice(scheme?.[0].length ?? 0, at);
    const colon = userinfo.indexOf(separatorOf(scheme?.[1]));
    if (scheme === null) {
      const name = userinfo.slice(0, colon);
      const isUser =
        colon > 0 && colon < userinfo.length - 1 && !/^(?:mailto|sip|sips|xmpp|pkg|npm|acct)$/i.test(name);
      return isUser ? [[from + colon + 1, index + at]] : [];
    }
    // Without a password the user may be a token: `https://x9Kq…@host`. The same with an empty one: `https://token:@host`.
    if (colon < 0) return /^(?=.*\d)(?=.*[a-z])[\w.~%-]{10,}$/i.test(userinfo) ? [[from, index + at]] : [];
    return [colon === userinfo.length - 1 ? [from, from + colon] : [from + colon + 1, index + at]];
  });
  return [...words, ...wholeAddress(text)];
}

/** The separator between user and password. libiscsi: iscsi://user%password@host/iqn/lun */
function separatorOf(scheme: string | undefined): string {
  return /^iscsi$/i.test(scheme ?? "") ? "%" : ":";
}

/** If the whole text is an address, its password may also contain spaces and quotes: `postgres://user:a b@host/x`. */
function wholeAddress(text: string): Span[] {
  const whole =
    /^(\s*(?:[\w.-]+=)?\\*["']?[a-z][\w+.-]*:\/\/[^\s/@:]*:)(?!\d+(?:[/?#\s]|$))([^\n]+)@[^\s@]+\s*$/i.exec(
      text,
    );
  const [, before = "", password = ""] = whole ?? [];
  return whole === null ? [] : [[before.length, before.length + password.length]];
}

/** The `@` after a user and a password; undefined if the word's `@` have another meaning, such as a digest. */
function lastUserinfo(word: string): number | undefined {
  for (let at = word.lastIndexOf("@"); at > 0; at = word.lastIndexOf("@", at - 1)) {
    const [before, after] = [word.slice(0, at), word.slice(at + 1)];
    if (/^(?:sha\d+:|\/)/.test(after) || after === "") continue;
    // In the path of an address with a port: https://host:8443/users/@me
    if (
      /^[a-z][\w+.-]*:\/\/[^/@:]+:\d+\//i.test(before) &&
      !/^[\w.-]+(?:\.[\w-]+|:\d+)(?:[/?#]|$)/.test(after)
    )
      continue;
    if (/^[a-z][\w+.-]*:\/\/[^/@:]+\//i.test(before)) continue;
    return at;
  }
  return undefined;
}
