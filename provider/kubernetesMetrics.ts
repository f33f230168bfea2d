import type { DeprecatedApi } from "./kubernetes.ts";

const deprecatedApiSeries = /^apiserver_requested_deprecated_apis\{([^}]*)\} +([^ ]+)/;

/** The deprecated APIs that clients requested from an API server, from its metrics (kubernetes staging/src/k8s.io/apiserver, endpoints/metrics). */
export function deprecatedApisIn(metrics: string): DeprecatedApi[] {
  return metrics.split("\n").flatMap((line): DeprecatedApi[] => {
    const [, labels = "", value = "0"] = deprecatedApiSeries.exec(line) ?? [];
    if (!(Number(value) > 0)) return [];
    const of = (name: string): string =>
      new RegExp(`(?:^|,)${name}="((?:[^"\\\\]|\\\\.)*)"`).exec(labels)?.[1] ?? "";
    return [
      {
        group: of("group"),
        version: of("version"),
        resource: of("resource"),
        removedRelease: of("removed_release"),
      },
    ];
  });
}
