import type { Policies, PolicyResource, ResourceValidationArgs } from "@pulumi/policy";
import type { PolicySettings } from "./configuration.ts";
import type { StackResource } from "./resources.ts";

/** One thing that a policy found. */
export interface Violation {
  policy: string;
  title: string;
  level: "advisory" | "mandatory";
  /** The resource; absent for the stack as a whole. */
  urn?: string;
  message: string;
}

class NotApplicable extends Error {}

/** Runs policies over the resources as the engine does: resource policies over inputs, stack policies over outputs. */
export async function evaluate(
  policies: Policies,
  settings: ReadonlyMap<string, PolicySettings>,
  resources: readonly StackResource[],
): Promise<Violation[]> {
  const violations: Violation[] = [];
  for (const policy of policies) {
    const { level, config } = settings.get(policy.name) ?? { level: "advisory", config: {} };
    if (level === "disabled") continue;
    const report = (message: string, urn?: string) => {
      violations.push({
        policy: policy.name,
        title: policy.displayName ?? policy.name,
        // Nothing here is remediated: what would be is a violation.
        level: level === "advisory" ? "advisory" : "mandatory",
        ...(urn === undefined ? {} : { urn }),
        message,
      });
    };
    const common = {
      stackTags: new Map<string, string>(),
      getConfig: <T extends object>() => config as T,
      notApplicable: (): never => {
        throw new NotApplicable();
      },
    };
    try {
      if ("validateStack" in policy)
        await policy.validateStack({ resources: stackResources(resources), ...common }, report);
      else await eachResource(policy.validateResource, resources, common, report);
    } catch (error) {
      if (!(error instanceof NotApplicable)) throw error;
    }
  }
  return violations;
}

type Validation = Extract<Policies[number], { validateResource?: unknown }>["validateResource"];

async function eachResource(
  validation: Validation,
  resources: readonly StackResource[],
  common: Pick<ResourceValidationArgs, "stackTags" | "getConfig" | "notApplicable">,
  report: (message: string, urn?: string) => void,
): Promise<void> {
  for (const resource of resources) {
    for (const validate of [validation ?? []].flat())
      await validate({ ...describeResource(resource, resource.inputs), ...common }, (message) =>
        report(message, resource.urn),
      );
  }
}

function stackResources(resources: readonly StackResource[]): PolicyResource[] {
  const described = resources.map(stackResource);
  const byUrn = new Map(described.map((resource) => [resource.urn, resource]));
  described.forEach((resource, index) => {
    const parent = byUrn.get(resources[index]?.parent ?? "");
    if (parent !== undefined) resource.parent = parent;
  });
  return described;
}

function stackResource(resource: StackResource): PolicyResource {
  return { ...describeResource(resource, resource.outputs), dependencies: [], propertyDependencies: {} };
}

// Options and classes of resources are not in what is read; no policy of the pack asks for them.
function describeResource({ type, urn, name }: StackResource, props: Record<string, unknown>) {
  return {
    type,
    urn,
    name,
    props,
    opts: {
      protect: false,
      ignoreChanges: [],
      aliases: [],
      customTimeouts: { createSeconds: 0, updateSeconds: 0, deleteSeconds: 0 },
      additionalSecretOutputs: [],
    },
    isType: () => false,
    asType: () => undefined,
  };
}
