/** What a text looks like by itself, whatever its name: keys, tokens, certificates, password hashes. */

/** The formats of services' keys and tokens. They share no more than a prefix. */
const TOKENS: readonly RegExp[] = [
  /\beyJ[\w-]{5,}\.[\w-]{5,}\.[\w-]*/g, // JSON web tokens
  /\b[a-z0-9]{6}\.[a-z0-9]{16}\b/g, // bootstrap tokens of Kubernetes and Talos
  /\b(?:AKIA|ASIA|AGPA|AIDA|AROA|ANPA|ANVA|ABIA|ACCA)[A-Z2-7]{16}\b/g, // AWS
  /\b(?:gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{20,})/g,
  /\b(?:gl(?:pat|dt|rt|cbt|ptt|ft|imt|agent|oas|soat|ffct)-[\w.-]{16,}|GR1348941[\w-]{16,})/g,
  /\bxox[a-z]-[\w-]{8,}|\bxapp-\d-[\w-]{8,}/g, // Slack
  /\bhooks\.slack\.com\/(?:services|workflows|triggers)\/[\w/-]+/g,
  /\bdiscord(?:app)?\.com\/api\/webhooks\/[\w/-]+/g,
  /\bAIza[\w-]{30,}|\bya29\.[\w-]{16,}|\bGOCSPX-[\w-]{16,}/g, // Google
  /\b(?:[rsp]k_(?:live|test)_|whsec_)\w{12,}/g, // Stripe
  /\bsk-(?:[a-z]+-)*[\w-]{16,}/g,
  /\b(?:npm_[A-Za-z0-9]{30,}|pypi-[\w-]{16,}|dckr_[a-z]{3}_[\w-]{16,}|rubygems_[0-9a-f]{32,})/g,
  /\bhv[sbr]\.[\w-]{16,}|(?<![\w.])s\.[A-Za-z0-9]{24}\b/g, // Vault
  /\bdo[opr]_v1_[0-9a-f]{32,}|\bpul-[0-9a-f]{32,}|\bdapi[0-9a-f]{30,}/g,
  /\btskey-[\w-]{8,}|\bglsa_\w{16,}|\bglc_[\w=]{16,}|\bsntr[yu]s_[\w=]{16,}/g,
  /\bSG\.[\w-]{16,}\.[\w-]{16,}|\bSK[0-9a-f]{32}\b|\bshp(?:at|ss|ca|pa)_[0-9a-f]{20,}|\bhf_[A-Za-z0-9]{20,}/g,
  /\b\d{8,10}:AA[\w-]{30,}/g, // Telegram
  /\b[A-Za-z0-9]{14}\.atlasv1\.[\w-]{16,}/g,
  /\bAGE-SECRET-KEY-1[0-9A-Z]+/g,
  /\$(?:1|2[abxy]?|5|6|7|y|gy|apr1|sha1|argon2\w*|pbkdf2[\w-]*|scrypt)\$[^\s"',;:]+/g, // password hashes
  /-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----[\s\S]*?(?:-----END [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----|$)/g,
  /\bLS0tLS1CRUdJTi[A-Za-z0-9+/]*(?:UFJJVkFURS|FJJVkFUR|BSSVZBVE)[A-Za-z0-9+/=]*/g, // the same in base64
];

/** Where a text contains such a key or token. */
export function tokensIn(text: string): [start: number, end: number][] {
  return TOKENS.flatMap((form) =>
    [...text.matchAll(form)].map(({ index, 0: found }): [number, number] => [index, index + found.length]),
  );
}

/** A certificate or a public key, as PEM or in base64. */
export function isCertificate(text: string): boolean {
  const pem = decodedPem(text);
  return (
    pem !== undefined &&
    !/PRIVATE/.test(pem) &&
    /-----BEGIN (?:[A-Z ]*CERTIFICATE|[A-Z ]*PUBLIC KEY)/.test(pem)
  );
}

/** A private key, as PEM or in base64. */
export function isPrivateKey(text: string): boolean {
  return /PRIVATE KEY/.test(decodedPem(text) ?? "");
}

function decodedPem(text: string): string | undefined {
  if (text.includes("-----BEGIN ")) return text;
  // "LS0tLS" is the base64 of "-----".
  return text.startsWith("LS0tLS") ? Buffer.from(text, "base64").toString("latin1") : undefined;
}

/** Long text without spaces whose letters and digits look random: a key, a token, a digest. */
export function looksRandom(text: string): boolean {
  if (/^[0-9a-fA-F]{24,}$/.test(text)) return new Set(text).size >= 6;
  if (!/^[A-Za-z0-9+/_-]{20,}={0,2}$/.test(text) || !/[A-Za-z]/.test(text)) return false;
  if (isUuid(text) || text.split(/[-_/]/).every(isWord)) return false;
  if (!/[0-9]/.test(text) && caseChanges(text) < 0.27 * text.length) return false; // words, such as NodeRestriction
  return entropy(text) >= 3.3;
}

/** `0a1b2c3d-…`: often just an identifier, so a name must indicate that it is a secret. */
function isUuid(text: string): boolean {
  return /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(text);
}

/** `metal`, `Pool0`, `v1`, `KubeletConfig`, `0001`: the parts of names and paths. */
function isWord(text: string): boolean {
  return /^(?:[a-z]*(?:[A-Z][a-z]+){0,4}\d{0,4}|[A-Z]+\d{0,4}|\d{1,12}|[a-z]{1,4}\d{1,3}[a-z]{1,4}\d{0,3})$/.test(
    text,
  );
}

function caseChanges(text: string): number {
  const pairs = text.match(/(?:[a-z](?=[A-Z])|[A-Z](?=[a-z]))/g);
  return pairs?.length ?? 0;
}

function entropy(text: string): number {
  const counts = new Map<string, number>();
  for (const character of text) counts.set(character, (counts.get(character) ?? 0) + 1);
  return [...counts.values()].reduce((sum, n) => sum - (n / text.length) * Math.log2(n / text.length), 0);
}

/** A value that is not a secret whatever its name: a boolean, nothing, a reference to a variable or a template. */
export function isHarmlessValue(text: string): boolean {
  return /^(?:true|false|null|none|~|""|''|\$\([A-Z_][A-Z0-9_]*\)|\$\{[A-Z_][A-Z0-9_]*\}|\{\{[^{}]*\}\})?$/.test(
    text.trim(),
  );
}

/**
 * Whether a word in a place for non-secrets, such as an invalid host name, may be a password. Human-made names (hosts, pools, releases) have short parts of
 * letters followed by a number; `Pool0` is fine, `x9Kq2LmB` is not.
 */
export function mayBePassword(word: string): boolean {
  if (word.length < 8) return false;
  const turns = word.match(/\p{L}\p{N}|\p{N}\p{L}|\p{Ll}\p{Lu}/gu)?.length ?? 0;
  const bothCases = /\p{Lu}/u.test(word) && /\p{Ll}/u.test(word);
  return (
    turns >= (word.length >= 16 ? 1 : bothCases || word.length >= 12 ? 3 : Infinity) ||
    /[+=!$%^&*~]/.test(word)
  );
}
