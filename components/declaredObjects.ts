import * as pulumi from "@pulumi/pulumi";
import { removedObjects } from "../talos/removedApis.ts";

/** Records the type of every resource that inherits it. Changes none. */
export function recordTypes(types: Set<string>): pulumi.ResourceTransformation {
  return ({ type }) => {
    types.add(type);
    return undefined;
  };
}

/**
 * Declared objects whose API the Kubernetes release doesn't have. Known once the program has declared all of its resources, which doesn't wait for any of them.
 */
export function findRemovedObjects(
  types: ReadonlySet<string>,
  kubernetesVersion: string,
): pulumi.Output<string[] | undefined> {
  return pulumi.output(
    Promise.resolve().then(() => {
      const found = removedObjects(types, kubernetesVersion);
      return found.length === 0 ? undefined : found;
    }),
  );
}
