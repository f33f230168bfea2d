import { z } from "zod";
import { section } from "../components/csi/fields.ts";
import { jsonPathProblem } from "../talos/jsonPath.ts";
import { must } from "./words.ts";

/** The settings of `upgrade.gates`. */

const kindText = "a kind such as CephCluster";
const versionText = "an API version such as ceph.rook.io/v1";
const conditionText = "a condition such as Ready or Ready=False";

const words = (what: string) => z.string(must(what)).trim().min(1, must(what));

/** @param duration the schema of a duration with its default, in seconds */
export const gatesOf = (duration: (byDefault: string) => z.ZodType<number, string | undefined>) =>
  z
    .array(
      section({
        apiVersion: z
          .string(must(versionText))
          .regex(/^([a-z0-9.-]+\/)?v\d+((alpha|beta)\d+)?$/, must(versionText))
          .describe("API version of the objects: ceph.rook.io/v1."),
        kind: z
          .string(must(kindText))
          .regex(/^[A-Z][A-Za-z0-9]*$/, must(kindText))
          .describe("Kind of the objects: CephCluster."),
        namespace: words("a namespace")
          .optional()
          .describe("Namespace of the objects; default: all, as for kinds that have none."),
        name: words("an object's name").optional().describe("Name of the one object. It has to be there."),
        labelSelector: words("a label selector such as app=db,tier!=cache")
          .optional()
          .describe(
            "Label selector, as kubectl takes it. Without it and without name: every object of the kind. None at all is no obstacle.",
          ),
        condition: z
          .string(must(conditionText))
          .regex(/^[A-Za-z0-9.\-/]+(=(True|False|Unknown))?$/, must(conditionText))
          .optional()
          .describe("Condition that each object has to have: Ready, or Degraded=False."),
        jsonPath: z
          .string(must("a JSONPath such as {.status.robustness}"))
          .superRefine((path, context) => {
            const problem = jsonPathProblem(path);
            if (problem !== undefined) context.addIssue({ code: "custom", message: problem });
          })
          .optional()
          .describe(
            "JSONPath (RFC 9535, the braces and the leading dot of kubectl are understood) of what is compared with value: {.status.ceph.health}.",
          ),
        value: z
          .union(
            [
              z.string(),
              z.number(),
              z.boolean(),
              z.array(z.union([z.string(), z.number(), z.boolean()])).min(1),
            ],
            must("a value, or a list of the values that are well"),
          )
          .optional()
          .describe("What jsonPath has to find in each object: a value, or a list of which any is well."),
        timeout: duration("10m").describe("How long to wait for it before the rollout stops."),
      })
        .refine(({ name, labelSelector }) => name === undefined || labelSelector === undefined, {
          path: ["labelSelector"],
          error: () => "and name exclude each other; give one",
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
    .describe(
      "Objects of the cluster that have to be well before the first node is taken down and before each one after it. Default: none.",
    );
