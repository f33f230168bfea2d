import * as pulumi from "@pulumi/pulumi";
import { specialSigKey } from "@pulumi/pulumi/runtime/rpc.js";
import type { Manifest } from "./manifests.ts";

/** Runs a program under Pulumi's mocks and returns the Kubernetes objects that it would create, with secrets in plain text. */
export async function renderProgram(program: () => unknown): Promise<Manifest[]> {
  const manifests: Manifest[] = [];
  await pulumi.runtime.setMocks(
    {
      newResource: ({ type, name, inputs }) => {
        const state = inputs as Record<string, unknown>;
        const metadata = { ...(state["metadata"] as object), uid: "0b4cdef2-5f0e-4a8e-9d3c-3f6a5a5d3a10" };
        if (type.startsWith("kubernetes:")) manifests.push(revealSecrets(state) as Manifest);
        return { id: `${name}-id`, state: { ...state, metadata } };
      },
      call: ({ inputs }) => inputs as Record<string, unknown>,
    },
    "talos-iscsi",
    "csi-processes",
    false,
  );
  program();
  await pulumi.runtime.disconnect();
  return manifests;
}

function revealSecrets(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(revealSecrets);
  if (typeof value !== "object" || value === null) return value;
  if (specialSigKey in value) return revealSecrets((value as Record<string, unknown>)["value"]);
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, revealSecrets(inner)]));
}
