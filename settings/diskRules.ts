import type { Problem } from "../components/csi/problems.ts";
import { configurationForms } from "../talos/features.ts";
import { contractOfSettings } from "./contract.ts";
import { givenNodes, type GivenSettings } from "./given.ts";

/** Each node's disk must be selected in one way only, in the form that the cluster's contract uses. */
export function checkDisks(given: GivenSettings, problems: Problem[]): void {
  const contract = contractOfSettings(given);
  givenNodes(given).forEach((node, index) => {
    const selector = node.diskSelector;
    if (selector === undefined || Object.keys(selector).length === 0) return;
    const path = `cluster.nodes[${index}].diskSelector`;
    if (node.installDisk !== undefined)
      problems.push({
        path,
        reason: "conflicts with installDisk, which sets the same thing; set only one of them",
      });
    const { match, ...properties } = selector;
    const others = Object.keys(properties);
    if (match !== undefined && others.length > 0)
      problems.push({ path, reason: `has match and ${others.join(", ")}; match excludes all other keys` });
    if (contract === undefined) return;
    const documents = configurationForms(contract).install === "UnattendedInstallConfig";
    if (documents && match === undefined)
      problems.push({
        path,
        reason: `has ${others.join(", ")}; contract ${contract} takes only match with an expression, such as disk.transport == "nvme"`,
      });
    if (!documents && match !== undefined)
      problems.push({
        path: `${path}.match`,
        reason: `needs contract v1.14 or newer; contract ${contract} takes properties of the disk, such as size and type`,
      });
  });
}
