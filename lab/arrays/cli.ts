import { Command } from "commander";
import { DsmArray } from "./dsm.ts";
import { TgtDisks } from "./tgtDisks.ts";

/** `npm run array`: an array for machines that are not simulated, as .github/workflows/acceptance.yml makes them. */

interface CliOptions {
  address: string;
  port: number;
  folder: string;
  user: string;
}

await new Command("array")
  .description(
    "Serves the web API of a DSM with one volume, whose LUNs are real: those of tgtd, which has to run. Ends with Ctrl-C.\n" +
      "The password is that of the variable ARRAY_PASSWORD.",
  )
  .requiredOption("--address <ip>", "where machines reach the API; tgtd listens on all addresses by itself")
  .requiredOption("--folder <path>", "where the disks are kept, as sparse files")
  .option("--port <number>", "port of the API", Number, 5000)
  .option("--user <name>", "who may use it", "kubernetes")
  .action(async ({ address, port, folder, user }: CliOptions) => {
    const password = process.env["ARRAY_PASSWORD"] ?? "";
    if (password === "") throw new Error("Set ARRAY_PASSWORD, the password of the array's user.");
    await DsmArray.start({
      ...{ folder, user, password },
      disks: new TgtDisks(folder),
      portal: { host: address, port },
    });
    process.stdout.write(`serving http://${address}:${port}\n`);
  })
  .parseAsync();
