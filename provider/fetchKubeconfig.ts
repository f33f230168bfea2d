import { TalosError } from "../talos/api/errors.ts";
import type { CallOptions, TalosReader } from "../talos/api/talosClient.ts";
import { KubernetesError } from "./kubernetes.ts";

/** Asks one control plane after the other, until one has answered all that is asked. */
async function firstAnswer<T>(
  controlPlanes: readonly string[],
  ask: (address: string) => Promise<T>,
): Promise<{ answer: T } | { refusal: Error }> {
  let refusal: Error = new KubernetesError("there is no control plane to ask for a kubeconfig");
  for (const address of controlPlanes) {
    try {
      return { answer: await ask(address) };
    } catch (error) {
      if (!(error instanceof TalosError) || error.kind === "cancelled") throw error;
      refusal = error;
    }
  }
  return { refusal };
}

/**
 * The kubeconfig that a control plane gives out, for where the stack's own is not known yet: it comes after the configurations. Throws what the
 * last control plane answered.
 */
export async function fetchKubeconfig(
  peer: (address: string) => Pick<TalosReader, "kubeconfig">,
  controlPlanes: readonly string[],
  call: CallOptions,
): Promise<string> {
  const found = await firstAnswer(controlPlanes, (address) => peer(address).kubeconfig(call));
  if ("refusal" in found) throw found.refusal;
  return found.answer;
}

/**
 * The same, to take a turn in Kubernetes with: of the first control plane where etcd answers. Undefined where none does, as in a cluster that is not bootstrapped: there is
 * no Kubernetes to take a turn in.
 */
export async function fetchKubeconfigForLock(
  peer: (address: string) => Pick<TalosReader, "etcdMembers" | "kubeconfig">,
  controlPlanes: readonly string[],
  call: CallOptions,
): Promise<string | undefined> {
  const found = await firstAnswer(controlPlanes, async (address) => {
    await peer(address).etcdMembers(call);
    return peer(address).kubeconfig(call);
  });
  return "answer" in found ? found.answer : undefined;
}
