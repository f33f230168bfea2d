import { text } from "node:stream/consumers";
import { gunzipSync } from "node:zlib";
import { extract } from "tar-stream";

/** Extracts the kubeconfig from MachineService.Kubeconfig's response: a gzipped archive of one file. */
export async function extractKubeconfig(archive: Buffer): Promise<string> {
  const files = extract();
  files.end(gunzipSync(archive));
  for await (const file of files) {
    if (file.header.name === "kubeconfig") return text(file);
    file.resume();
  }
  throw new Error("the archive has no kubeconfig");
}
