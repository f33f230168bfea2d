import * as pulumi from "@pulumi/pulumi";
import { removedObjects } from "../talos/removedApis.ts";

/** Notes the type of every resource that it is inherited by. Changes none. */
export function recordTypes(types: Set<string>): pulumi.ResourceTransformation {
  return ({ type }) => {
    types.add(type);
    return undefined;
  };
}

/**
 * Objects among the declared ones whose API the Kubernetes release does not have. Known once the program has declared all of its resources, which it does
 * without waiting for any.
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
