import type { Problem } from "../components/csi/problems.ts";
import { configurationForms } from "../talos/features.ts";
import { contractOfSettings } from "./contract.ts";
import { isRecord } from "../talos/values.ts";
import { valueAt, listAt } from "./raw.ts";

/** Each node's disk is named in one way, and in the form of the cluster's contract. */
export function checkDisks(raw: unknown, problems: Problem[]): void {
  const contract = contractOfSettings(raw);
  listAt(raw, "cluster", "nodes").forEach((node, index) => {
    const selector = valueAt(node, "diskSelector");
    if (!isRecord(selector)) return;
    const path = `cluster.nodes[${index}].diskSelector`;
    if (valueAt(node, "installDisk") !== undefined)
      problems.push({
        path,
        reason: "conflicts with installDisk, which sets the same thing; set only one of them",
      });
    const { match, ...properties } = selector;
    const others = Object.keys(properties);
    if (match !== undefined && others.length > 0)
      problems.push({ path, reason: `has match and ${others.join(", ")}; an expression must be alone` });
    if (contract === undefined) return;
    const documents = configurationForms(contract).install === "UnattendedInstallConfig";
    if (documents && match === undefined)
      problems.push({
        path,
        reason: `has ${others.join(", ")}; contract ${contract} takes an expression alone: match, such as disk.transport == "nvme"`,
      });
    if (!documents && match !== undefined)
      problems.push({
        path: `${path}.match`,
        reason: `is for contracts from v1.14 on; contract ${contract} takes properties of the disk, such as size and type`,
      });
  });
}
