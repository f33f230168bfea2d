/**
 * What `strategy: nsenter` puts in the place of iscsiadm: it finds the iscsid of the iscsi-tools extension on the
 * node and runs that extension's own iscsiadm in iscsid's mount and network namespace. It needs hostPID.
 *
 * - It prints nothing of its own on success: Synology's driver reads iscsiadm's stdout and stderr together, and an
 *   additional line makes it crash (synology-csi v1.2.1 pkg/driver/initiator.go, parseSessions).
 * - `pgrep -x -o` (exact name, oldest): one process even when a second iscsid (a forked child, a restart under way) is
 *   there. In short options, since Synology's image has busybox, which knows no others.
 * - `exec`: the exit status (21 means "no sessions") and signals are iscsiadm's, not a shell's.
 * - 20 is iscsiadm's own code for "cannot reach iscsid" (open-iscsi, ISCSI_ERR_ISCSID_NOTCONN), so that a driver retries.
 */
export const nsenterWrapper = `#!/usr/bin/env bash
iscsid="$(pgrep -x -o iscsid)"
if [[ -z "$iscsid" ]]; then
  echo "iscsiadm: no process named iscsid on this node. Is the Talos extension siderolabs/iscsi-tools installed (talosctl service ext-iscsid), and does this pod have hostPID? With workload isolation (Talos 1.14 and newer) iscsid cannot be seen from a pod: use the strategy chroot." >&2
  exit 20
fi
exec nsenter --mount="/proc/$iscsid/ns/mnt" --net="/proc/$iscsid/ns/net" -- "\${ISCSIADM_HOST_PATH:-/usr/local/sbin/iscsiadm}" "$@"
`;
