import type * as pulumi from "@pulumi/pulumi";
import type { z } from "zod";
import type { hopsSchema } from "../talos/inputs/hops.ts";
import type { nodeUpgradeSchema } from "../talos/inputs/nodeUpgrade.ts";

type Known<T> = T extends (infer Item)[] | readonly (infer Item)[]
  ? readonly ResourceInput<Item>[]
  : T extends object
    ? { [Key in keyof T]: ResourceInput<T[Key]> | undefined }
    : T;
type ResourceInput<T> = pulumi.Input<Known<T>>;

/** A class's inputs for its resource, from the schema the plugin checks them with: values that may be outputs, at any depth. */
export type ResourceInputs<Schema extends z.ZodType> = {
  [Key in keyof z.input<Schema>]: ResourceInput<z.input<Schema>[Key]> | undefined;
};

/** The same by name, for the nodes of a cluster. */
export type NamedResourceInputs<Schema extends z.ZodType> = Record<
  string,
  Omit<ResourceInputs<Schema>, "name">
>;

type UpgradeInputs = Partial<ResourceInputs<typeof nodeUpgradeSchema>>;

/** The inputs of a class that reads all nodes: the shared ones, and each node's own by name. */
export type RolloutResourceInputs = UpgradeInputs & {
  nodes: Record<string, Omit<UpgradeInputs, "name">>;
  hops?: ResourceInput<z.input<typeof hopsSchema>> | undefined;
};
