import type { Properties } from "../../provider/secrets.ts";
import { releasesBefore } from "../../talos/releases.ts";
import { inputsFor } from "./nodeUpgradeHarness.ts";
import type { SimulatedCluster } from "./simulatedCluster.ts";

/** Inputs of a preflight with `through: automatic`, as the component passes them. @param names the nodes in their order: each waits for the one before it */
export function hopInputs(
  cluster: SimulatedCluster,
  names: readonly string[],
  talosVersion: string,
  shared: Properties = {},
  releases: string[] = releasesBefore(talosVersion),
): Properties {
  const of = (name: string, version: string) => {
    const { image, extensions, files } = inputsFor(cluster, name, { talosVersion: version });
    const services = version.startsWith("v1.9.") ? ["ext-iscsid", "ext-tgtd"] : ["ext-iscsid"];
    return { talosVersion: version, image, extensions, services, files };
  };
  const own = names.map((name) => {
    const { node, role } = inputsFor(cluster, name);
    return [name, { node, role, ...of(name, talosVersion) }] as const;
  });
  const turns = names.map((name, index) => [name, { way: "default", after: names.slice(index - 1, index) }]);
  const hops = {
    ways: { default: releases.map((release) => of("cp1", release)) },
    nodes: Object.fromEntries(turns) as Properties,
  };
  const { schematicId, controlPlanes, clientConfiguration, drain, timeoutSeconds } = inputsFor(
    cluster,
    "cp1",
  );
  return {
    ...{ nodes: Object.fromEntries(own), hops },
    ...{ schematicId, controlPlanes, clientConfiguration, drain, timeoutSeconds },
    ...shared,
  };
}
