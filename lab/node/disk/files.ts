import { createHash } from "node:crypto";
import type { Machine } from "../machine/machine.ts";

/** Name of the node's iSCSI initiator, if it has one. */
export function initiatorName(node: Machine): string | undefined {
  if (!node.extensions().some(({ name }) => name === "iscsi-tools")) return undefined;
  // Since Talos 1.10 it is derived from the machine; before that, the extension generated one.
  return node.minor() >= 10
    ? `iqn.2017-11.dev.talos:${node.disk.machineId}`
    : `iqn.2016-04.com.open-iscsi:${createHash("sha256").update(node.disk.nodeId).digest("hex").slice(0, 12)}`;
}

const executable = 0o755;

export interface NodeFile {
  content: string;
  mode: number;
}

/** Directories that the kernel shows as symlinks, with their targets. */
export function nodeLinks(node: Machine): Map<string, string> {
  return node.boot?.iscsi.sysfs().links ?? new Map<string, string>();
}

/** Files that clients may want to read, by path. */
export function nodeFiles(node: Machine): Map<string, NodeFile> {
  const { boot } = node;
  const files = new Map<string, NodeFile>();
  const put = (path: string, content: string, mode = 0o644): void => {
    files.set(path, { content, mode });
  };
  put("/proc/sys/kernel/random/boot_id", `${boot?.id ?? ""}\n`, 0o444);
  put("/proc/cmdline", `${["talos.platform=metal", ...(boot?.kernelArgs ?? [])].join(" ")}\n`, 0o444);
  // iscsi_tcp is compiled into Talos's kernel and never shows up here (siderolabs/pkgs, every release since 1.6).
  put(
    "/proc/modules",
    loadableModules(node)
      .map((module) => `${module} 16384 0 - Live 0x0000000000000000\n`)
      .join(""),
    0o444,
  );
  put("/etc/machine-id", `${node.disk.machineId}\n`);
  put("/etc/hostname", `${node.hostname}\n`);
  put(
    "/etc/os-release",
    [
      'NAME="Talos"',
      "ID=talos",
      `VERSION_ID=${node.version}`,
      `PRETTY_NAME="Talos (${node.version})"`,
      'HOME_URL="https://www.talos.dev/"',
      "",
    ].join("\n"),
  );
  for (const [path, content] of boot?.iscsi.sysfs().files ?? []) put(path, content, 0o444);
  const iqn = initiatorName(node);
  if (iqn !== undefined) {
    if (!node.faults.has("iscsiadm-missing")) put("/usr/local/sbin/iscsiadm", "\x7fELF", executable);
    put("/usr/local/sbin/iscsid", "\x7fELF", executable);
    if (node.minor() >= 10) put("/etc/iscsi/initiatorname.iscsi", `InitiatorName=${iqn}\n`);
    else {
      put("/system/iscsi/initiatorname.iscsi", `InitiatorName=${iqn}\n`);
      put("/usr/local/etc/iscsi/iscsid.conf", "node.startup = manual\n");
    }
  }
  return files;
}

/** Modules built into the kernel of every release. */
export const builtInModules = ["iscsi_tcp", "libiscsi", "libiscsi_tcp", "scsi_transport_iscsi"];

export function loadableModules(node: Machine): string[] {
  return (node.config?.kernelModules ?? []).filter((module) => !builtInModules.includes(module));
}
