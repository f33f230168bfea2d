import { TalosError } from "../talos/api/errors.ts";
import type { CallOptions, TalosReader } from "../talos/api/talosClient.ts";
import { KubernetesError } from "./kubernetes.ts";

/**
 * The kubeconfig that a control plane gives out, for where the stack's own is not known yet: it comes after the configurations. Throws what the
 * last control plane answered.
 */
export async function givenKubeconfig(
  peer: (address: string) => Pick<TalosReader, "kubeconfig">,
  controlPlanes: readonly string[],
  call: CallOptions,
): Promise<string> {
  let last: unknown = new KubernetesError("there is no control plane to ask for a kubeconfig");
  for (const address of controlPlanes) {
    try {
      return await peer(address).kubeconfig(call);
    } catch (error) {
      if (!(error instanceof TalosError) || error.kind === "cancelled") throw error;
      last = error;
    }
  }
  throw last;
}
