/** What our plugin adds to a program's inputs. */
export const pluginInputs = ["plan", "changes", "changedByHand", "hardware", "planDigest"] as const;

/** The same, and the configurations, of which the state and previews have no plain text. */
export const hashedInputs = [...pluginInputs, "configurations"];

/** A resource of a deployed stack, as the bare program registers it. */
export interface DeployedResource {
  urn: string;
  type: string;
  name: string;
  custom: boolean;
  inputs: Record<string, unknown>;
  parent?: string;
  /** URN of the provider that the program created; absent for a default one. */
  provider?: string;
  dependsOn: string[];
  protect?: boolean;
  version?: string;
  pluginDownloadURL?: string;
}

interface StateResource {
  urn: string;
  type: string;
  custom: boolean;
  inputs?: Record<string, unknown>;
  outputs?: Record<string, unknown>;
  parent?: string;
  provider?: string;
  dependencies?: string[];
  protect?: boolean;
}

/**
 * The state of a deployed stack, rewritten for the stack `bare` of a project `bare`, and the resources its program must register so that nothing changes.
 * @param exported output of `pulumi stack export --show-secrets`
 */
export function bareState(exported: string): { state: string; resources: DeployedResource[] } {
  const [, stack = "", project = ""] =
    /urn:pulumi:([^:]+)::([^:]+)::pulumi:pulumi:Stack::/.exec(exported) ?? [];
  const renamed = exported
    .replaceAll(`urn:pulumi:${stack}::${project}::`, "urn:pulumi:bare::bare::")
    .replaceAll(`pulumi:pulumi:Stack::${project}-${stack}`, "pulumi:pulumi:Stack::bare-bare");
  const state = JSON.parse(renamed) as { deployment: { resources: StateResource[] } };
  const all = state.deployment.resources;
  for (const resource of all) if (resource.type === "pulumi:pulumi:Stack") resource.outputs = {};
  const isDefault = ({ type, urn }: StateResource): boolean =>
    type.startsWith("pulumi:providers:") && nameOf(urn).startsWith("default");
  // The state of each node has only digests of these.
  const { rollout, kubeconfig } = all.find(({ type }) => type.endsWith(":RolloutPreflight"))?.inputs ?? {};
  const resources = all
    .filter((resource) => resource.type !== "pulumi:pulumi:Stack" && !isDefault(resource))
    .map(
      ({
        urn,
        type,
        custom,
        inputs = {},
        parent,
        provider,
        dependencies = [],
        protect,
      }): DeployedResource => {
        const own = all.find((other) => provider?.startsWith(`${other.urn}::`) === true);
        const from = (own ?? { inputs }).inputs ?? {};
        const text = (key: string) => (typeof from[key] === "string" ? { [key]: from[key] } : {});
        return {
          ...{ urn, type, name: nameOf(urn), custom, dependsOn: dependencies },
          inputs: omitKeys(
            type.endsWith(":NodeUpgrade") ? { ...inputs, rollout, kubeconfig } : inputs,
            type.startsWith("pulumi:providers:") ? ["version", "pluginDownloadURL"] : hashedInputs,
          ),
          ...(parent === undefined ? {} : { parent }),
          ...(own === undefined || isDefault(own) ? {} : { provider: own.urn }),
          ...(protect === undefined ? {} : { protect }),
          ...text("version"),
          ...text("pluginDownloadURL"),
        };
      },
    );
  return { state: JSON.stringify(state), resources };
}

function omitKeys(inputs: Record<string, unknown>, names: readonly string[]): Record<string, unknown> {
  return Object.fromEntries(Object.entries(inputs).filter(([name]) => !names.includes(name)));
}

const nameOf = (urn: string): string => urn.split("::").at(-1) ?? "";
