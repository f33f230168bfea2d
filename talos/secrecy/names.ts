/**
 * What a name reveals about its value. Names are split into words (`DB_PASS`, `clientSecret`, `client-key-data`), so that `PATH` doesn't contain `PAT` and
 * `topologyKey` isn't a key.
 */

/** Words that make a name secret anywhere in it. */
const SECRET_WORD =
  /^(?:\w*(?:secret|token|password|passphrase|passcode|passwort|kennwort|credential)s?|\w*(?:passw|htpasswd)\w*|token(?!i)\w+|secret\w+|creds?|bearer|authorization|chap|psks?|jwt|cookies?|t?otp|sas|mnemonic|contraseña|пароль)$/u;

/** Words that make a name secret at its end. */
const LAST_WORD =
  /^(?:keys?|\w{2,}key|auths?|pats?|psk|pins?|\w*pw|\w*pwd|seed|salt|sig|dsn|community|kubeconfig|talosconfig|dockercfg|netrc|connectionstring|connstr|\w*pass)$/u;

/** Words that only end like one of these. */
const OTHER_WORD =
  /^(?:bypass|compass|trespass|encompass|surpass|underpass|monkey|turkey|hockey|donkey|jockey|hotkey|cwd|pubkey|hostkeys?|public\w*)$/;

/** What may follow the telling word: `client-key-data`, `TLS_KEY_PEM`, `API_KEY_BASE64`. */
const CARRIER =
  /^(?:data|pem|value|base|b|content|contents|text|string|str|hex|raw|plain|plaintext|clear|encoded|enc|in|out|old|new|prod|production|staging|dev|test|primary|secondary|current|next|previous|default|a)$/;

/** Keys that are names of fields, labels or columns. These words before `key` indicate that. */
const LABEL_KEY =
  /^(?:topology|label|annotation|taint|sort|partition|foreign|public|pub|cache|group|index|match|merge|field|hash|object|row|lookup|metric|tag|shard|routing|idempotency|hot|gpg)$/;

/** Last words of names that only reference or describe a secret: `secretName`, `token-ttl`, `PASSWORD_FILE`. */
const ABOUT =
  /^(?:names?|namespaces?|refs?|references?|files?|filename|filenames|paths?|dir|directory|folder|urls?|uris?|endpoints?|host|hosts|port|server|servers|ttl|size|types?|count|ids?|expiration|expires|expiry|seconds|minutes|days|age|length|usages?|issuers?|audiences?|policy|policies|mode|class|kind|enabled|disabled|enable|required|optional|timeout|interval|rotation|algorithm|alg|format|version|provider|providers|methods?|selector|users?|username|stdin|requests?|review|reviews|controller|claim|claims|config|configs|configuration|plugin|webhook|mounts?|volumes?|driver|permissions?|rules?)$/;

/** Secret regardless of the rules. */
const ALWAYS =
  /secretid$|recoverycodes?$|dockerconfigjson$|dockerauthconfig$|^id(?:rsa|dsa|ecdsa|ed)$|gitcredentials$/;

/** Sections and lists of Talos and Kubernetes that contain secrets next to names, and sysctls with similar names. */
const SECTION =
  /^(?:secretbox|aescbc|aesgcm|identity|imagepullsecrets|kernelkeys\w*|passthrough|pass[a-z]*through|tokenreview\w*|authorizedkeys?|sshauthorizedkeys?|authkeysfile|trustedkeys?|knownhosts)$/;

/** Whether a field, variable or option of this name holds a secret. */
export function isSecretName(name: string): boolean {
  const words = wordsOf(name);
  const flat = words.join("");
  if (flat === "" || SECTION.test(flat) || /public|pubkey|authorizedkey|certhash/.test(flat)) return false;
  if (ALWAYS.test(flat) || words.includes("chap") || words.includes("htpasswd")) return true;
  if (isAbout(words, flat)) return false;
  if (words.some((word) => SECRET_WORD.test(word) && !OTHER_WORD.test(word))) return true;
  const telling = words.findLastIndex((word) => !CARRIER.test(word));
  const last = words[telling] ?? "";
  if (!LAST_WORD.test(last) || OTHER_WORD.test(last)) return false;
  return !(/keys?$/.test(last) && LABEL_KEY.test(words[telling - 1] ?? last.replace(/keys?$/, "")));
}

function isAbout(words: readonly string[], flat: string): boolean {
  if (words.length > 1) return ABOUT.test(words.at(-1) ?? "");
  // In one word: secretname, tokenfile.
  const [, rest] = /^\w*?(?:secret|token|password|passwd|key|credential)s?(\w+)$/.exec(flat) ?? [];
  return rest !== undefined && ABOUT.test(rest);
}

/** Names whose values are public however random they look. */
export function isPublicName(name: string): boolean {
  const words = wordsOf(name);
  const flat = words.join("");
  if (isSecretName(name)) return false;
  return (
    /public|pubkey|authorizedkey|knownhost|fingerprint|thumbprint|checksum|digest|schematic|certhash/.test(
      flat,
    ) ||
    /^(?:ids?|\w*[ug]uid|image|images|version|commit|revision|sha|serial|wwid|wwn|wwnn|wwpn|nqn|iqn|machineid|etag|md|crc|hash)$/.test(
      words.at(-1) ?? "",
    )
  );
}

/** Whether a section of this name is a secret as a whole, unless it only references one: `secretRef: { name, key }`. */
export function isSecretSection(name: string, section: Readonly<Record<string, unknown>>): boolean {
  return isSecretName(name) && !isReference(section);
}

const POINTERS = new Set(
  "name,namespace,key,optional,secretName,items,defaultMode,path,mode,audience,expirationSeconds,kind,apiGroup,apiVersion,group".split(
    ",",
  ),
);

/** Whether a mapping only references something. */
function isReference(section: Readonly<Record<string, unknown>>): boolean {
  const keys = Object.keys(section);
  return keys.length > 0 && keys.every((key) => POINTERS.has(key)) && !keys.every((key) => key === "key");
}

/** Whether `key` in this mapping is the name of a label or another entry, as in taints, selectors and references. */
export function isLabelKey(section: Readonly<Record<string, unknown>>): boolean {
  return (
    ["operator", "effect", "values", "path"].some((other) => other in section) ||
    ("name" in section && isReference(section))
  );
}

function wordsOf(name: string): string[] {
  // For a label or annotation, the part after the domain.
  return (name.split("/").at(-1) ?? "")
    .replace(/([\p{Ll}\p{N}])(\p{Lu})/gu, "$1 $2")
    .replace(/(\p{Lu})(\p{Lu}\p{Ll})/gu, "$1 $2")
    .toLowerCase()
    .split(/[^\p{L}\p{N}]+/u)
    .map((word) => word.replace(/\d+$/, ""))
    .filter((word) => word !== "");
}
