import { spawnSync } from "node:child_process";
import { chmodSync, copyFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { IscsiDriver } from "../../../components/csi/iscsiDriver.ts";
import { shimsOf } from "../../../components/csi/shims.ts";

// The wrapper as the driver runs it: real bash, pgrep and nsenter, and a process named iscsid in its own mount and network
// namespace. A PID namespace hides any other iscsid of this machine.
const isolated = ["--mount", "--net", "--pid", "--fork", "--mount-proc", "--kill-child"];
// Namespaces need Linux, and root or a user namespace.
const able =
  process.platform === "linux" && spawnSync("unshare", [...isolated, "pgrep", "-x", "true"]).status === 1;

let folder: string;

/** A program as a driver's node plugin finds it. */
function shim(file: string, strategy: IscsiDriver["iscsiadm"]["strategy"]): string {
  const driver = { iscsiadm: { strategy }, restagesUnsafely: true } as IscsiDriver;
  return shimsOf(driver).find((one) => one.file === file)?.content ?? "";
}

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "iscsiadm-"));
  writeFileSync(join(folder, "wrapper"), shim("iscsiadm", "nsenter"));
  chmodSync(join(folder, "wrapper"), 0o755);
  copyFileSync("/bin/sleep", join(folder, "iscsid"));
  // The stand-in for the extension's iscsiadm exists only in iscsid's mount namespace, as on a node.
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
  -m) [[ "$*" != *--login* ]] || echo "iscsiadm: answers"; exit "$status" ;;
  arguments) printf '<%s>' "$@"; echo ;;
  netns) readlink /proc/self/ns/net; readlink /proc/self/ns/mnt ;;
  wait) trap 'exit 41' TERM; echo ready; while :; do read -rt 0.05 <> <(:); done ;;
esac
`;

/**
 * Runs a script in a fresh PID namespace with `count` processes named iscsid, each in its own namespaces where the
 * path of iscsiadm leads to the extension's. The script gets the wrapper as $wrapper.
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

describe.skipIf(!able)("iscsiadm with strategy nsenter", () => {
  test.each([0, 1, 21, 255])("returns iscsiadm's exit status %i and prints nothing itself", (code) => {
    expect(onNode(1, `"$wrapper" exit ${code}; exit $?`)).toEqual({ status: code, stdout: "", stderr: "" });
  });

  test("passes arguments on unchanged", () => {
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

  test("uses the oldest iscsid of two", () => {
    const { stdout, status } = onNode(
      2,
      `readlink /proc/$(pgrep -xo iscsid)/ns/net /proc/$(pgrep -xn iscsid)/ns/net; "$wrapper" netns`,
    );
    const [oldest, newest, seen] = stdout.trim().split("\n");
    expect(status).toBe(0);
    expect(seen).toBe(oldest);
    expect(seen).not.toBe(newest);
  });

  test("ignores a process whose name only starts with iscsid", () => {
    const script = `cp "${folder}/iscsid" "${folder}/iscsid-helper"; "${folder}/iscsid-helper" 300 & until pgrep iscsid; do sleep 0.02; done; "$wrapper" exit 0`;
    expect(onNode(0, script).status).toBe(20);
  });

  test("without iscsid, explains it on stderr and exits with iscsiadm's status for it", () => {
    const { status, stdout, stderr } = onNode(0, `"$wrapper" exit 0`);
    expect(status).toBe(20);
    expect(stdout).toBe("");
    expect(stderr).toMatch(
      /no process named iscsid on this node.*siderolabs\/iscsi-tools.*hostPID.*use the strategy chroot/,
    );
  });

  test("is replaced by iscsiadm, so signals reach it", () => {
    // The wrapper's PID becomes iscsiadm's, whose trap answers SIGTERM with 41.
    const script = `"$wrapper" wait >"$folder/log" & pid=$!
      until grep -q ready "$folder/log"; do sleep 0.02; done
      kill -TERM $pid; wait $pid`;
    expect(onNode(1, script).status).toBe(41);
  });
});

// The node's root at /host, as with the chroot strategy: bash and the extension's iscsiadm, bind-mounted.
describe.skipIf(!able)("iscsiadm with strategy chroot", () => {
  const inRoot = (script: string) => {
    writeFileSync(join(folder, "chroot"), shim("iscsiadm", "chroot"));
    chmodSync(join(folder, "chroot"), 0o755);
    return spawnSync(
      "unshare",
      [
        ...["--mount", "bash", "-c"],
        `mkdir -p "${folder}/root" && mount --bind / "${folder}/root" && mount --rbind "${folder}" "${folder}/root${folder}" && mkdir -p /host && mount --bind "${folder}/root" /host &&
         export ISCSIADM_HOST_PATH="${folder}/extension" wrapper="${folder}/chroot"; ${script}`,
      ],
      { encoding: "utf8" },
    );
  };
  const login = '"$wrapper" -m node -p 10.0.0.1 -T iqn.x --login';

  test("reports success, with iscsiadm's output, for a login to an existing session", () => {
    const { status, stdout } = inRoot(`status=15; export status; ${login}`);
    expect({ status, stdout }).toEqual({ status: 0, stdout: "iscsiadm: answers\n" });
  });

  test.each([0, 8, 21, 24])("returns iscsiadm's exit status %i for any other login", (code) => {
    expect(inRoot(`status=${code}; export status; ${login}`).status).toBe(code);
  });

  test("keeps status 15 for anything but a login", () => {
    expect(inRoot(`status=15; export status; "$wrapper" -m node -o new`).status).toBe(15);
  });

  test("passes arguments on unchanged", () => {
    expect(inRoot(`"$wrapper" arguments -m "a b" '*' ''`).stdout).toBe("<arguments><-m><a b><*><>\n");
  });
});

// Two real file systems on loop devices, mounted in the test's own namespace.
describe.skipIf(!able)("mount", () => {
  const mounted = (script: string) => {
    writeFileSync(join(folder, "mount"), shim("mount", "chroot"));
    chmodSync(join(folder, "mount"), 0o755);
    const disk = (name: string) =>
      `truncate -s 8M "${folder}/${name}.img"; mkfs.ext4 -qF "${folder}/${name}.img"; ${name}=$(losetup -f --show "${folder}/${name}.img"); mkdir -p "${folder}/${name}"`;
    return spawnSync(
      "unshare",
      [
        ...["--mount", "bash", "-c"],
        `set -e; ${disk("one")}; ${disk("two")}; trap 'umount "${folder}/one" "${folder}/two" 2>/dev/null; losetup -d $one $two' EXIT
         set +e; shim="${folder}/mount"; at="${folder}/one"; other="${folder}/two"; ln -sf $one "${folder}/by-path"
         ${script}`,
      ],
      { encoding: "utf8" },
    );
  };

  test("mounts, and succeeds if the same device is already mounted, by whatever path", () => {
    const again = mounted(`"$shim" -t ext4 $one "$at" && "$shim" -t ext4 -o rw "${folder}/by-path" "$at"`);
    expect(again.status, again.stderr).toBe(0);
  });

  test("refuses a second device on the target as mount does, and a missing device", () => {
    expect(mounted(`"$shim" $one "$at" && "$shim" "${folder}/nothing" "$at"`).status).not.toBe(0);
    expect(mounted(`"$shim" $one "$at" && "$shim" -t xfs $two "$at"`).status).toBe(32);
    expect(mounted('"$shim" --version').stdout).toContain("util-linux");
  });
});
