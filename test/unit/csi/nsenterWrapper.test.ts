import { spawnSync } from "node:child_process";
import { chmodSync, copyFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { nsenterWrapper } from "../../../components/csi/nsenterWrapper.ts";

// The wrapper as the driver runs it: real bash, pgrep and nsenter, and a process named iscsid in a mount and a network
// namespace of its own. A PID namespace keeps the wrapper from seeing any other iscsid of this machine.
const isolated = ["--mount", "--net", "--pid", "--fork", "--mount-proc", "--kill-child"];
// Namespaces take root (or a user namespace), and Linux.
const able =
  process.platform === "linux" && spawnSync("unshare", [...isolated, "pgrep", "-x", "true"]).status === 1;

let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "iscsiadm-"));
  writeFileSync(join(folder, "wrapper"), nsenterWrapper);
  chmodSync(join(folder, "wrapper"), 0o755);
  copyFileSync("/bin/sleep", join(folder, "iscsid"));
  // What stands for the extension's iscsiadm is only there in iscsid's mount namespace, as on a node.
  writeFileSync(join(folder, "extension"), iscsiadm);
  chmodSync(join(folder, "extension"), 0o755);
  writeFileSync(
    join(folder, "outside"),
    "#!/bin/sh\necho 'this is the iscsiadm outside of the extension'\nexit 99\n",
  );
  chmodSync(join(folder, "outside"), 0o755);
});

afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

const iscsiadm = `#!/bin/bash
case "$1" in
  exit) exit "$2" ;;
  arguments) printf '<%s>' "$@"; echo ;;
  netns) readlink /proc/self/ns/net; readlink /proc/self/ns/mnt ;;
  wait) trap 'exit 41' TERM; echo ready; while :; do read -rt 0.05 <> <(:); done ;;
esac
`;

/**
 * Runs a script in a fresh PID namespace after starting `count` processes named iscsid, each in namespaces of its own
 * where the path of iscsiadm is the extension's. The script is given the wrapper as $wrapper.
 */
function onNode(count: number, script: string): { status: number | null; stdout: string; stderr: string } {
  const { status, stdout, stderr } = spawnSync(
    "unshare",
    [...isolated, "bash", "-c", nodeScript(count, script)],
    { encoding: "utf8" },
  );
  return { status, stdout, stderr };
}

function nodeScript(count: number, script: string): string {
  const one = (number: number) =>
    `unshare --mount --net bash -c 'mount --bind "${folder}/extension" "${folder}/outside" && exec "${folder}/iscsid" 300' &
     until [[ $(pgrep -xc iscsid) == ${number} ]]; do sleep 0.02; done`;
  const settings = `export ISCSIADM_HOST_PATH="${folder}/outside" wrapper="${folder}/wrapper" folder="${folder}"`;
  return [settings, ...Array.from({ length: count }, (_, index) => one(index + 1)), script].join("\n");
}

describe.skipIf(!able)("the iscsiadm of strategy nsenter", () => {
  test.each([0, 1, 21, 255])("passes on iscsiadm's exit status %i and prints nothing of its own", (code) => {
    expect(onNode(1, `"$wrapper" exit ${code}; exit $?`)).toEqual({ status: code, stdout: "", stderr: "" });
  });

  test("passes on arguments as they are", () => {
    expect(onNode(1, `"$wrapper" arguments -m node "a b" '*' ''`).stdout).toBe(
      "<arguments><-m><node><a b><*><>\n",
    );
  });

  test("runs iscsiadm in iscsid's mount and network namespace", () => {
    const { stdout } = onNode(
      1,
      `pid=$(pgrep -x iscsid); readlink /proc/$pid/ns/net /proc/$pid/ns/mnt; readlink /proc/self/ns/net; "$wrapper" netns`,
    );
    const [net, mnt, own, seenNet, seenMnt] = stdout.trim().split("\n");
    expect([seenNet, seenMnt]).toEqual([net, mnt]);
    expect(seenNet).not.toBe(own);
  });

  test("takes the oldest of two", () => {
    const { stdout, status } = onNode(
      2,
      `readlink /proc/$(pgrep -xo iscsid)/ns/net /proc/$(pgrep -xn iscsid)/ns/net; "$wrapper" netns`,
    );
    const [oldest, newest, seen] = stdout.trim().split("\n");
    expect(status).toBe(0);
    expect(seen).toBe(oldest);
    expect(seen).not.toBe(newest);
  });

  test("is not led astray by a process whose name only begins like it", () => {
    const script = `cp "${folder}/iscsid" "${folder}/iscsid-helper"; "${folder}/iscsid-helper" 300 & until pgrep iscsid; do sleep 0.02; done; "$wrapper" exit 0`;
    expect(onNode(0, script).status).toBe(20);
  });

  test("says what is missing when there is no iscsid, on stderr, with iscsiadm's own status for it", () => {
    const { status, stdout, stderr } = onNode(0, `"$wrapper" exit 0`);
    expect(status).toBe(20);
    expect(stdout).toBe("");
    expect(stderr).toMatch(
      /no process named iscsid on this node.*siderolabs\/iscsi-tools.*hostPID.*use the strategy chroot/,
    );
  });

  test("is replaced by iscsiadm, so that a signal reaches it", () => {
    // The wrapper's own PID becomes iscsiadm's, whose trap answers SIGTERM with 41.
    const script = `"$wrapper" wait >"$folder/log" & pid=$!
      until grep -q ready "$folder/log"; do sleep 0.02; done
      kill -TERM $pid; wait $pid`;
    expect(onNode(1, script).status).toBe(41);
  });
});
