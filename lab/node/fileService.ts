import { posix } from "node:path";
import { status } from "@grpc/grpc-js";
import { CallFailure } from "./failure.ts";
import { nodeFiles, type NodeFile } from "./files.ts";
import type { SimulatedNode } from "./node.ts";

interface ListRequest {
  root: string;
  recurse: boolean;
  recursionDepth: number;
  types: string[];
}

// The bit by which Go's file modes mark a directory; they are what travels.
const directoryMode = 0x80000000 + 0o755;

/** Reading and listing files. */
export function registerFileService(node: SimulatedNode): void {
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
    const depth = request.recurse ? request.recursionDepth || Infinity : 1;
    const modified = String(Math.floor((node.boot?.startedAt.getTime() ?? 0) / 1000));
    for (const [path, file] of entries(files, root, depth)) {
      const isDir = file === undefined;
      if (request.types.length > 0 && !request.types.includes(isDir ? "DIRECTORY" : "REGULAR")) continue;
      send({
        name: path,
        relativeName: path === root ? (isDir ? "." : posix.basename(path)) : posix.relative(root, path),
        size: isDir ? "4096" : String(Buffer.byteLength(file.content)),
        mode: isDir ? directoryMode : file.mode,
        modified,
        isDir,
      });
    }
  });
}

function isDirectory(files: Map<string, NodeFile>, path: string): boolean {
  const prefix = path === "/" ? "/" : `${path}/`;
  return [...files.keys()].some((file) => file.startsWith(prefix));
}

/** The root itself, then what is below it: files, and the directories that hold them. */
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
