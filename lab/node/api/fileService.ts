import { posix } from "node:path";
import { status } from "@grpc/grpc-js";
import { CallFailure } from "../machine/failure.ts";
import { nodeFiles, nodeLinks, type NodeFile } from "../disk/files.ts";
import type { ServedMachine } from "./apid.ts";

interface ListRequest {
  root: string;
  recurse: boolean;
  recursionDepth: number;
  types: string[];
}

// The mode bits with which Go marks directories and symlinks; the API sends them as is.
const directoryMode = 0x80000000 + 0o755;
const linkMode = 0x08000000 + 0o777;
// Kernel directories that exist even if they are empty: iSCSI is compiled into Talos's kernel.
const kernelFolders = ["/sys/class/iscsi_session", "/sys/class/iscsi_connection"];

/** Reads and lists files. */
export function registerFileService(node: ServedMachine): void {
  const { handlers } = node;

  handlers.stream<{ path: string }>("/machine.MachineService/Read", async ({ path }, send) => {
    const files = nodeFiles(node);
    const file = files.get(path);
    if (file !== undefined) {
      send({ bytes: Buffer.from(file.content) });
      return;
    }
    if (isDirectory(files, path)) throw new CallFailure(status.UNKNOWN, "path must be a regular file");
    throw new CallFailure(status.NOT_FOUND, `stat ${path}: no such file or directory`);
  });

  handlers.stream<ListRequest>("/machine.MachineService/List", async (request, send) => {
    const root = posix.normalize(`/${request.root}`).replace(/(.)\/$/, "$1");
    const files = nodeFiles(node);
    const links = nodeLinks(node);
    const depth = request.recurse ? request.recursionDepth || Infinity : 1;
    const modified = String(Math.floor((node.boot?.startedAt.getTime() ?? 0) / 1000));
    for (const [path, file] of entries(files, root, depth)) {
      // A walk doesn't follow symlinks (siderolabs/talos v1.13.9 pkg/archiver/walker.go).
      if ([...links.keys()].some((link) => path.startsWith(`${link}/`) && link.startsWith(root))) continue;
      const link = links.get(path);
      const isDir = file === undefined && link === undefined;
      const type = link !== undefined ? "SYMLINK" : isDir ? "DIRECTORY" : "REGULAR";
      if (request.types.length > 0 && !request.types.includes(type)) continue;
      if (link !== undefined) {
        const relativeName = posix.relative(root, path);
        send({ name: path, relativeName, size: "0", mode: linkMode, modified, isDir, link });
        continue;
      }
      send({
        name: path,
        relativeName: path === root ? (isDir ? "." : posix.basename(path)) : posix.relative(root, path),
        size: file === undefined ? "4096" : String(Buffer.byteLength(file.content)),
        mode: file === undefined ? directoryMode : file.mode,
        modified,
        isDir,
      });
    }
  });
}

function isDirectory(files: Map<string, NodeFile>, path: string): boolean {
  if (kernelFolders.includes(path)) return true;
  const prefix = path === "/" ? "/" : `${path}/`;
  return [...files.keys()].some((file) => file.startsWith(prefix));
}

/** The root itself, then everything below it: files and the directories that contain them. */
function entries(
  files: Map<string, NodeFile>,
  root: string,
  depth: number,
): [string, NodeFile | undefined][] {
  const file = files.get(root);
  if (file !== undefined) return [[root, file]];
  if (!isDirectory(files, root)) {
    throw new CallFailure(status.UNKNOWN, `lstat ${root}: no such file or directory`);
  }
  const found = new Map<string, NodeFile | undefined>([[root, undefined]]);
  for (const [path, content] of files) {
    const relative = posix.relative(root, path);
    if (relative.startsWith("..")) continue;
    const parts = relative.split("/");
    for (let level = 1; level <= Math.min(parts.length, depth); level++) {
      found.set(posix.join(root, ...parts.slice(0, level)), level === parts.length ? content : undefined);
    }
  }
  return [...found].sort(([a], [b]) => (a < b ? -1 : 1));
}
