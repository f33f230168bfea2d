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

/** What a class gives its resource, by the schema with which the plugin checks it: values that may be outputs, at any depth. */
export type ResourceInputs<Schema extends z.ZodType> = {
  [Key in keyof z.input<Schema>]: ResourceInput<z.input<Schema>[Key]> | undefined;
};

/** The same by name, as the nodes of a cluster are given. */
export type NamedResourceInputs<Schema extends z.ZodType> = Record<
  string,
  Omit<ResourceInputs<Schema>, "name">
>;

type UpgradeInputs = Partial<ResourceInputs<typeof nodeUpgradeSchema>>;

/** What a class that looks at all nodes gives its resource: what they share, and what is a node's own by its name. */
export type RolloutResourceInputs = UpgradeInputs & {
  nodes: Record<string, Omit<UpgradeInputs, "name">>;
  hops?: ResourceInput<z.input<typeof hopsSchema>> | undefined;
};
