import Table from "cli-table3";
import type { Command } from "commander";
import { clusterFaultCatalogue } from "./clusterFaults.ts";
import { askLab } from "./control.ts";
import type { FaultRequest } from "./faultControl.ts";
import { labFiles } from "./layout.ts";
import { LabError, runningLab } from "./lifecycle.ts";
import { faultCatalogue } from "./node/machine/faults.ts";
import { storageFaultCatalogue } from "./storageFaults.ts";

/** `lab -- fault` and `lab -- faults`: what goes wrong at night, on demand. */
export function addFaultCommands(root: Command): void {
  root
    .command("faults")
    .description("list every fault of a simulated node or of its Kubernetes")
    .action(() => {
      const table = new Table({
        head: ["fault", "what happens", "value"],
        style: { head: [], border: [], compact: true },
      });
      for (const fault of [...faultCatalogue, ...clusterFaultCatalogue, ...storageFaultCatalogue]) {
        const value = "value" in fault ? `${fault.value.means} (${fault.value.default})` : "";
        table.push([fault.id, fault.does, value]);
      }
      process.stdout.write(`${table.toString()}\n`);
    });

  root
    .command("fault")
    .description("set a fault on a node, or lift it")
    .argument("<node>", "name of the node, such as w1")
    .argument("<fault>", "a fault from `faults`; with --lift also: all")
    .option("--value <number>", "the fault's value", parseNumber)
    .option("--once", "lift it automatically after it has occurred", false)
    .option("--lift", "lift the fault instead", false)
    .action(
      async (node: string, fault: string, options: { value?: number; once: boolean; lift: boolean }) => {
        await runningLab();
        const body: FaultRequest = { node, fault, ...options };
        const { faults } = await askLab<{ faults: string[] }>(labFiles.socket, {
          method: "POST",
          path: "/fault",
          body,
        }).catch((error: Error) => {
          throw new LabError(error.message);
        });
        process.stdout.write(`${node}: ${faults.length === 0 ? "no faults" : faults.join(", ")}\n`);
      },
    );
}

function parseNumber(text: string): number {
  const value = Number(text);
  if (!Number.isFinite(value)) throw new LabError(`--value must be a number, not "${text}"`);
  return value;
}
