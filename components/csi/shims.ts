import { createHash } from "node:crypto";
import type { IscsiDriver } from "./iscsiDriver.ts";

/**
 * Programs of ours that a driver's node plugin finds in place of its image's own. They are mounted from a Secret, which is a tmpfs on the
 * node: clusters made with Talos 1.14 mount /var noexec, where ConfigMaps are.
 */

/** Exit status of iscsiadm: the session exists already (open-iscsi include/iscsi_err.h, ISCSI_ERR_SESS_EXISTS). */
const sessionExists = 15;

/**
 * iscsiadm of the node, for either strategy.
 *
 * - It prints nothing of its own on success: Synology's driver reads iscsiadm's stdout and stderr together, and an
 *   additional line makes it crash (synology-csi v1.2.1 pkg/driver/initiator.go, parseSessions).
 * - A login to a session that exists is a success. The kubelet stages every volume in use again when it restarts, and the JovianDSS driver
 *   answers a failed login with a logout: the disk would disappear under its pod (joviandss-kubernetescsi pkg/node/targetapi.go, StageVolume).
 * - Everything else is `exec`: the exit status (21 means "no sessions") and signals are iscsiadm's, not a shell's.
 *
 * Strategy nsenter finds the iscsid of the iscsi-tools extension and runs that extension's own iscsiadm in its namespaces. It needs hostPID.
 *
 * - `pgrep -x -o` (exact name, oldest): one process even when a second iscsid (a forked child, a restart under way) is
 *   there. In short options, since Synology's image has busybox, which knows no others.
 * - 20 is iscsiadm's own code for "cannot reach iscsid" (open-iscsi, ISCSI_ERR_ISCSID_NOTCONN), so that a driver retries.
 */
function iscsiadmShim(strategy: "chroot" | "nsenter"): string {
  return `#!/usr/bin/env bash
iscsiadm="\${ISCSIADM_HOST_PATH:-/usr/local/sbin/iscsiadm}"
${strategy === "chroot" ? intoRoot : intoNamespaces}
for argument in "$@"; do
  if [[ "$argument" == --login || "$argument" == -l ]]; then
    "\${node[@]}" "$iscsiadm" "$@"
    status=$?
    if [[ $status == ${sessionExists} ]]; then exit 0; fi
    exit $status
  fi
done
exec "\${node[@]}" "$iscsiadm" "$@"
`;
}

const intoRoot = "node=(chroot /host)";

const intoNamespaces = `iscsid="$(pgrep -x -o iscsid)"
if [[ -z "$iscsid" ]]; then
  echo "iscsiadm: no process named iscsid on this node. Is the Talos extension siderolabs/iscsi-tools installed (talosctl service ext-iscsid), and does this pod have hostPID? With workload isolation (Talos 1.14 and newer) iscsid cannot be seen from a pod: use the strategy chroot." >&2
  exit 20
fi
node=(nsenter --mount="/proc/$iscsid/ns/mnt" --net="/proc/$iscsid/ns/net" --)`;

/**
 * mount that also succeeds where the same device is mounted on the target already: the kubelet publishes volumes in use again when it
 * restarts, and mount(8) answers 32. Another device on the target stays an error.
 */
const mountShim = `#!/usr/bin/env bash
command -p mount "$@"
status=$?
if [[ $status != 32 || $# -lt 2 ]]; then exit $status; fi
device="$(command -p mountpoint -x "\${@: -2:1}" 2>/dev/null)" || exit $status
mounted="$(command -p mountpoint -d "\${@: -1}" 2>/dev/null)" || exit $status
if [[ "$device" == "$mounted" ]]; then exit 0; fi
exit $status
`;

/** A program of ours in a driver's node plugin. */
export interface Shim {
  /** Its key in the Secret. */
  file: string;
  /** Where the plugin finds it. */
  path: string;
  content: string;
}

/** The shims that a driver needs; none for one that stages again without harm and reaches iscsiadm by chroot itself. */
export function shimsOf(driver: IscsiDriver): Shim[] {
  const { strategy } = driver.iscsiadm;
  const iscsiadm = strategy === "nsenter" || driver.restagesUnsafely;
  return [
    ...(iscsiadm ? [{ file: "iscsiadm", path: driver.wrapperPath, content: iscsiadmShim(strategy) }] : []),
    // Before /usr/bin on the PATH of every image.
    ...(driver.restagesUnsafely ? [{ file: "mount", path: "/usr/local/bin/mount", content: mountShim }] : []),
  ];
}

/** Name of the Secret with a driver's shims. */
export const shimSecret = (driver: IscsiDriver): string => `${driver.prefix}-shims`;

/** A text that changes with the shims: a mounted file does not, until its pod restarts. */
export function shimChecksum(shims: readonly Shim[]): string {
  return createHash("sha256").update(JSON.stringify(shims)).digest("hex").slice(0, 16);
}
