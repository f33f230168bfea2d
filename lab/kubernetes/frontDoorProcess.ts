import { FrontDoor, type FrontDoorAnswer, type FrontDoorRequest } from "./frontDoor.ts";

// A separate process: code in the lab's process that blocks while it waits for an answer of the API would otherwise
// deadlock.

const [address = "", port = ""] = process.argv.slice(2);
const door = new FrontDoor(address, Number(port));

process.on("message", (request: FrontDoorRequest) => {
  const done = request.backend === null ? door.close() : door.open(request.backend);
  done.then(
    () => process.send?.({} satisfies FrontDoorAnswer),
    (error: Error) => process.send?.({ problem: error.message } satisfies FrontDoorAnswer),
  );
});

// The lab's process has ended, for whatever reason.
process.on("disconnect", () => process.exit(0));
