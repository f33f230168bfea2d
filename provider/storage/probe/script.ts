/** How much a pod writes, in bytes: more than the caches on the path, small enough for any array. */
const probeBytes = 16 * 1024 * 1024;

/**
 * The pods' scripts, for a POSIX shell with busybox's programs. Times come from /proc/uptime, since busybox's `date` may only have whole seconds. The data is
 * created in memory first, so its checksum doesn't come from a volume. The result goes to the termination message: no logs or exec are needed.
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

// A missing file is a valid result, not an error of the pod.
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

/** The scripts' environment variables. */
export const probeEnvironment = {
  VOLUME: "/volume",
  MEMORY: "/memory",
  RESULT: "/dev/termination-log",
  BYTES: String(probeBytes),
} as const;

/** A pod's result. */
export interface PodResult {
  /** SHA-256 of the data to be written. */
  written: string | undefined;
  /** SHA-256 of the data in the volume; empty if there was no file. */
  found: string;
  /** How long it took to write and sync, or to read. */
  seconds: number;
}

/** Undefined for a message that is not from the scripts. */
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
