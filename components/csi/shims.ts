import { createHash } from "node:crypto";
import type { IscsiDriver } from "./iscsiDriver.ts";

/**
 * Programs that replace those of the driver image in its node plugin. They are mounted from a Secret, which is a tmpfs on the node: clusters created with Talos
 * 1.14 mount /var, where ConfigMaps are stored, noexec.
 */

/** Exit status of iscsiadm: the session already exists (open-iscsi include/iscsi_err.h, ISCSI_ERR_SESS_EXISTS). */
const sessionExists = 15;

/**
 * The node's iscsiadm, for either strategy.
 *
 * - It adds no output on success: Synology's driver reads iscsiadm's stdout and stderr together, and an additional line crashes it (synology-csi v1.2.1
 *   pkg/driver/initiator.go, parseSessions).
 * - A login to an existing session succeeds. The kubelet stages every volume in use again when it restarts, and the JovianDSS driver responds to a failed login
 *   with a logout: the disk would disappear under its pod (joviandss-kubernetescsi pkg/node/targetapi.go, StageVolume).
 * - Everything else is `exec`: exit status (21 means "no sessions") and signals are iscsiadm's, not a shell's.
 *
 * The strategy nsenter finds the iscsid of the iscsi-tools extension and runs that extension's iscsiadm in its namespaces. It needs hostPID.
 *
 * - `pgrep -x -o` (exact name, oldest): one process even with a second iscsid (a forked child, a restart in progress). Short options, since Synology's image
 *   has busybox, which supports no others.
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
 * A mount that also succeeds if the same device is already mounted on the target: the kubelet publishes volumes in use again when it restarts, and mount(8)
 * returns 32. Another device on the target is still an error.
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

/** A program mounted into a driver's node plugin. */
export interface Shim {
  /** Its key in the Secret. */
  file: string;
  /** Where the plugin finds it. */
  path: string;
  content: string;
}

/** The shims that a driver needs; none for one that restages safely and reaches iscsiadm through chroot by itself. */
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

/** Changes with the shims: running pods only pick up changed shims when they restart. */
export function shimChecksum(shims: readonly Shim[]): string {
  return createHash("sha256").update(JSON.stringify(shims)).digest("hex").slice(0, 16);
}
