import { rmSync } from "node:fs";
import { serveControl, type ControlRequest, type NewMachine } from "./control.ts";
import { handleFault } from "./faultControl.ts";
import { Lab } from "./lab.ts";
import { labFiles, readLayout, stackOf, type LabOptions } from "./layout.ts";

/** The lab's own process: machines, factory and Kubernetes live here until it is stopped. */

const options = JSON.parse(process.argv[2] ?? "{}") as LabOptions;
const { mode } = options;
const say = (line: string) => console.log(`${new Date().toISOString()} ${line}`);
const lab = await Lab.start(readLayout(stackOf[mode]), options, say).catch(exitWithReason);
let ready = false;
let failure: string | undefined;

/** Why the lab can't start, in one line: the command that started it shows this. */
function exitWithReason(error: NodeJS.ErrnoException & { address?: string; port?: number }): never {
  const taken = `${error.address ?? "an address of the lab"}:${error.port ?? "?"} is taken: another lab, from another folder, may be running`;
  console.error(error.code === "EADDRINUSE" ? taken : (error.stack ?? error.message));
  process.exit(1);
}

async function handle({ path, body }: ControlRequest): Promise<unknown> {
  switch (path) {
    case "/report":
      return {
        pid: process.pid,
        mode,
        stack: stackOf[mode],
        ready,
        nodes: lab.report(),
        ...(failure === undefined ? {} : { failure }),
      };
    case "/ready":
      ready = true;
      return {};
    case "/failed":
      failure = (body as { why: string }).why;
      return {};
    case "/boot": {
      await lab.boot(body as NewMachine);
      return {};
    }
    case "/stop":
      setImmediate(() => void stop());
      return {};
    default:
      return handleFault(lab, path, body);
  }
}

const control = await serveControl(labFiles.socket, handle);

let stopping = false;
async function stop(): Promise<void> {
  if (stopping) return;
  stopping = true;
  control.close();
  await lab.stop();
  rmSync(labFiles.socket, { force: true });
  process.exit(0);
}
process.on("SIGTERM", () => void stop());
process.on("SIGINT", () => void stop());
// A bug in one simulated machine must not take the others down; it is written to the lab's log.
process.on("unhandledRejection", (error) => console.error("unhandled in the lab:", error));
