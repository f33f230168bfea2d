import type { Problem } from "../components/csi/problems.ts";
import { planDigest, parsePlanFile, type ApprovedPlan } from "../talos/rolloutPlan.ts";
import type { Environment } from "./environment.ts";
import type { ReadFile } from "./files.ts";

/** Takes precedence over the stack's file: a pipeline knows the digest, and the file is what was reviewed. */
const approvedPlanVariable = "TALOS_ISCSI_APPROVED_PLAN";

/** The settings with the approved plan of the environment. An empty variable is an error: the pipeline lost the approved digest. */
export function applyEnvironmentPlan(
  config: Record<string, unknown>,
  environment: Environment,
): Record<string, unknown> {
  const given = environment[approvedPlanVariable];
  return given === undefined ? config : { ...config, approvedPlan: given };
}

/** `<digest>`, `<digest>@<file>` or `none`; the schema refuses anything else. */
export function readApprovedPlan(
  given: unknown,
  readFile: ReadFile,
  problems: Problem[],
): ApprovedPlan | undefined {
  if (typeof given !== "string") return undefined;
  const [, digest, path] = /^([0-9a-f]{64}|none)(?:@(.+))?$/s.exec(given) ?? [];
  if (digest === undefined) return undefined;
  if (path === undefined) return { digest };
  const refuse = (reason: string): undefined => void problems.push({ path: "approvedPlan", reason });
  let text: string;
  try {
    text = readFile(path);
  } catch (error) {
    return refuse(
      `the plan file ${path} cannot be read: ${error instanceof Error ? error.message : String(error)}`,
    );
  }
  const plan = parsePlanFile(text);
  if ("problem" in plan) return refuse(`${path} ${plan.problem}`);
  if (planDigest(plan) !== digest)
    return refuse(
      `${path} contains a plan with digest ${planDigest(plan)}, but digest ${digest} was approved`,
    );
  return { digest, plan };
}
