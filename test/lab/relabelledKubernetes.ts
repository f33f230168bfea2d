import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { resolveTools } from "../../tools/resolve.ts";

/**
 * A folder of tools whose kube-apiserver reports a different release, with a version of the same length. The binary is otherwise unchanged: the simulated machines
 * don't care, and the tests are about how the program handles the reported release.
 */
export async function relabelledKubernetes(
  sharedTools: string,
  [from, to]: readonly [string, string],
): Promise<{ folder: string; remove: () => void }> {
  if (from.length !== to.length) throw new Error(`${to} is not as long as ${from}`);
  await resolveTools(["kube-apiserver"]); // builds it if necessary
  const folder = mkdtempSync(join(tmpdir(), "talos-iscsi-tools-"));
  for (const entry of readdirSync(sharedTools)) {
    if (!entry.startsWith(`kubernetes-${from}`)) {
      symlinkSync(join(sharedTools, entry), join(folder, entry));
      continue;
    }
    mkdirSync(join(folder, entry, "bin"), { recursive: true });
    for (const name of readdirSync(join(sharedTools, entry, "bin"))) {
      const [source, copy] = [join(sharedTools, entry, "bin", name), join(folder, entry, "bin", name)];
      if (name !== "kube-apiserver") symlinkSync(source, copy);
      else {
        copyFileSync(source, copy);
        writeFileSync(copy, relabelled(readFileSync(source), from, to));
      }
    }
  }
  return { folder, remove: () => rmSync(folder, { recursive: true, force: true }) };
}

function relabelled(program: Buffer, from: string, to: string): Buffer {
  for (let at = program.indexOf(from); at !== -1; at = program.indexOf(from, at + 1))
    program.write(to, at, "latin1");
  return program;
}
