import { TalosError } from "../talos/api/errors.ts";
import type { CallOptions, TalosReader } from "../talos/api/talosClient.ts";
import { KubernetesError } from "./kubernetes.ts";

/** Asks the control planes in order until one has answered everything. */
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
 * The kubeconfig from a control plane, for use before the stack's own is known: that one comes after the configurations. Throws the last control plane's error.
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
 * The same, for the cluster lock: from the first control plane where etcd answers. Undefined if none does, as before bootstrap: there is no Kubernetes to hold
 * the lock.
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
