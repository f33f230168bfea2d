import { isTransient, TalosError } from "../../talos/api/errors.ts";
import type { CallOptions, TalosReader } from "../../talos/api/talosClient.ts";
import { installerPartsOf } from "../../talos/image.ts";
import type { Finding } from "./finding.ts";

/**
 * With SecureBoot enforced, the firmware starts nothing unsigned, the boot loader included: after another image is installed the machine doesn't come back, not
 * even with the old one. The reverse is left to the node: a SecureBoot image also starts on firmware that doesn't enforce it.
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
