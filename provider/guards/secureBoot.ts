import { isTransient, TalosError } from "../../talos/api/errors.ts";
import type { CallOptions, TalosReader } from "../../talos/api/talosClient.ts";
import { installerPartsOf } from "../../talos/image.ts";
import type { Finding } from "./finding.ts";

/**
 * A machine whose firmware enforces SecureBoot starts nothing that is not signed, its boot loader included: after an installation of another image it does not come back, not
 * even with the old one. The other way is left to the node: an image for SecureBoot starts where the firmware does not ask for it.
 */
export async function secureBootFindings(
  image: string,
  talos: TalosReader,
  call: CallOptions,
): Promise<Finding[]> {
  if (installerPartsOf(image)?.secureBoot !== false || (await isSecureBootEnforced(talos, call)) !== true)
    return [];
  return [
    {
      code: "secure-boot",
      problem: `the node booted with SecureBoot, and ${image} is not signed for it: the firmware would not start it (siderolabs/talos#9245)`,
      hint: "Use an image with secureBoot: true (image, or the entry of images that the node names).",
      mayPass: false,
    },
  ];
}

async function isSecureBootEnforced(talos: TalosReader, call: CallOptions): Promise<boolean | undefined> {
  try {
    return await talos.secureBoot(call);
  } catch (error) {
    if (!(error instanceof TalosError) || error.kind === "cancelled" || isTransient(error)) throw error;
    return undefined;
  }
}
