import { z } from "zod";
import { sectionSchema } from "../components/csi/fields.ts";
import { jsonPathProblem } from "../talos/jsonPath.ts";
import { must } from "./messages.ts";

/** The settings of `upgrade.gates`. */

const kindText = "a kind such as CephCluster";
const versionText = "an API version such as ceph.rook.io/v1";
const conditionText = "a condition such as Ready or Ready=False";

const textSchema = (what: string) => z.string(must(what)).trim().min(1, must(what));

/** @param duration the schema of a duration with its default, in seconds */
export const gatesSchema = (duration: (byDefault: string) => z.ZodType<number, string | undefined>) =>
  z
    .array(
      sectionSchema({
        apiVersion: z
          .string(must(versionText))
          .regex(/^([a-z0-9.-]+\/)?v\d+((alpha|beta)\d+)?$/, must(versionText))
          .describe("API version."),
        kind: z
          .string(must(kindText))
          .regex(/^[A-Z][A-Za-z0-9]*$/, must(kindText))
          .describe("Kind."),
        namespace: textSchema("a namespace").optional().describe("Default: all."),
        name: textSchema("an object's name").optional().describe("A single object, which must exist."),
        labelSelector: textSchema("a label selector such as app=db,tier!=cache")
          .optional()
          .describe("Label selector. Default: every object of the kind."),
        condition: z
          .string(must(conditionText))
          .regex(/^[A-Za-z0-9.\-/]+(=(True|False|Unknown))?$/, must(conditionText))
          .optional()
          .describe("Required condition: `Ready`, `Degraded=False`."),
        jsonPath: z
          .string(must("a JSONPath such as {.status.robustness}"))
          .superRefine((path, context) => {
            const problem = jsonPathProblem(path);
            if (problem !== undefined) context.addIssue({ code: "custom", message: problem });
          })
          .optional()
          .describe("JSONPath to compare with `value`."),
        value: z
          .union(
            [
              z.string(),
              z.number(),
              z.boolean(),
              z.array(z.union([z.string(), z.number(), z.boolean()])).min(1),
            ],
            must("a value, or a list of accepted values"),
          )
          .optional()
          .describe("Accepted value, or list of values."),
        timeout: duration("10m").describe("Limit before the rollout stops."),
      })
        .refine(({ name, labelSelector }) => name === undefined || labelSelector === undefined, {
          path: ["labelSelector"],
          error: () => "conflicts with name; set only one of them",
        })
        .refine(({ condition, jsonPath }) => (condition === undefined) !== (jsonPath === undefined), {
          error: () => "needs either condition or jsonPath with value",
        })
        .refine(({ jsonPath, value }) => (jsonPath === undefined) === (value === undefined), {
          error: () => "needs jsonPath and value together",
        }),
      must("a list of gates"),
    )
    .default([])
    .describe("Kubernetes objects that must be healthy before each node.");
