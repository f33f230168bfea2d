import { Command } from "commander";
import { DsmArray } from "./dsm.ts";
import { TgtDisks } from "./tgtDisks.ts";

/** `npm run array`: an array for machines that aren't simulated, such as those that .github/workflows/acceptance.yml creates. */

interface CliOptions {
  address: string;
  port: number;
  folder: string;
  user: string;
}

await new Command("array")
  .description(
    "Serves the web API of a DSM with one volume. Its LUNs are real: tgtd, which must be running, serves them. Stop it with Ctrl-C.\n" +
      "The environment variable ARRAY_PASSWORD sets the password.",
  )
  .requiredOption(
    "--address <ip>",
    "address of the API, reachable from the machines; tgtd itself listens on all addresses",
  )
  .requiredOption("--folder <path>", "folder for the disks, as sparse files")
  .option("--port <number>", "port of the API", Number, 5000)
  .option("--user <name>", "user of the API", "kubernetes")
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
