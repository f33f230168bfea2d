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

/**
 * The same, to take a turn in Kubernetes with: of the first control plane where etcd answers. Undefined where none does, as in a cluster that is not bootstrapped: there is
 * no Kubernetes to take a turn in.
 */
export async function kubeconfigForTurn(
  peer: (address: string) => Pick<TalosReader, "etcdMembers" | "kubeconfig">,
  controlPlanes: readonly string[],
  call: CallOptions,
): Promise<string | undefined> {
  for (const address of controlPlanes) {
    try {
      await peer(address).etcdMembers(call);
      return await peer(address).kubeconfig(call);
    } catch (error) {
      if (!(error instanceof TalosError) || error.kind === "cancelled") throw error;
    }
  }
  return undefined;
}
