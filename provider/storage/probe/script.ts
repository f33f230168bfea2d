/** How much a pod writes, in bytes: more than the caches of a path, little enough for any array. */
const probeBytes = 16 * 1024 * 1024;

/**
 * What the pods run, for a POSIX shell with busybox's programs. Times come from /proc/uptime, since busybox's `date` may know whole seconds only. What is written
 * is made in memory first, so that its checksum comes from no volume. The result goes to the termination message: it needs neither logs nor a way into the pod.
 */
const scriptPrelude = `set -eu
now() { read -r up idle < /proc/uptime; echo "$up"; }
sum() { sha256sum < "$1" | cut -d ' ' -f 1; }
file="$VOLUME/talos-iscsi-probe"
`;

const writeScript = `${scriptPrelude}head -c "$BYTES" /dev/urandom > "$MEMORY/data"
written=$(sum "$MEMORY/data")
began=$(now)
dd if="$MEMORY/data" of="$file" bs=1M conv=fsync
wrote=$(now)
found=$(sum "$file")
echo "{\\"written\\":\\"$written\\",\\"found\\":\\"$found\\",\\"began\\":$began,\\"ended\\":$wrote}" > "$RESULT"
`;

// A file that is not there is the answer to the question, not an error of the pod.
const readScript = `${scriptPrelude}began=$(now)
found=
if [ -f "$file" ]; then found=$(sum "$file"); fi
echo "{\\"found\\":\\"$found\\",\\"began\\":$began,\\"ended\\":$(now)}" > "$RESULT"
`;

/** The scripts of both pods. */
export const probeScripts: Readonly<Record<"write" | "read", string>> = {
  write: writeScript,
  read: readScript,
};

/** What the scripts are told by their environment. */
export const probeEnvironment = {
  VOLUME: "/volume",
  MEMORY: "/memory",
  RESULT: "/dev/termination-log",
  BYTES: String(probeBytes),
} as const;

/** What a pod found. */
export interface PodResult {
  /** SHA-256 of what it was to write. */
  written: string | undefined;
  /** SHA-256 of what was in the volume; empty where there was no file. */
  found: string;
  /** How long it wrote and synced, or read. */
  seconds: number;
}

/** Undefined for a message that is none of the scripts'. */
export function parsePodResult(message: string): PodResult | undefined {
  try {
    const { written, found, began, ended } = JSON.parse(message) as Record<string, unknown>;
    if (typeof found !== "string" || typeof began !== "number" || typeof ended !== "number") return undefined;
    return {
      written: typeof written === "string" ? written : undefined,
      found,
      seconds: Math.round((ended - began) * 100) / 100,
    };
  } catch {
    return undefined;
  }
}
