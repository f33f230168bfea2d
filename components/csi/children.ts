import type * as pulumi from "@pulumi/pulumi";
import { applyTransform } from "./transform.ts";
import type { Transform } from "./transform.ts";

/** The parts of a component's child. */
export interface Child<Args> {
  /** Second part of the child's Pulumi name, after the component's. */
  suffix: string;
  args: Args;
  transform?: Transform<Args> | undefined;
  dependsOn?: pulumi.Resource[];
  additionalSecretOutputs?: string[];
  aliases?: pulumi.Alias[];
  /** Paths that the API server never updates, besides those of which the Kubernetes plugin knows it. */
  replaceOnChanges?: string[];
  /** It stays in the cluster when it leaves the program. */
  retainOnDelete?: boolean;
}

type ResourceClass<Args, Made> = new (
  name: string,
  args: Args,
  options?: pulumi.CustomResourceOptions,
) => Made;

/** Creates a component's children: named after it, parented to it, and modified by the user's transform. */
export function childMaker(component: pulumi.ComponentResource, name: string) {
  return function make<Args, Made>(
    type: ResourceClass<Args, Made>,
    child: Child<NonNullable<NoInfer<Args>>>,
  ): Made {
    const { suffix, args, transform, dependsOn = [], ...more } = child;
    // Names in the cluster are explicit and most fields of these objects are immutable, so the old one must be deleted first.
    const options: pulumi.CustomResourceOptions = {
      parent: component,
      deleteBeforeReplace: true,
      dependsOn,
      ...more,
    };
    return new type(`${name}-${suffix}`, applyTransform(transform, args, options), options);
  };
}
