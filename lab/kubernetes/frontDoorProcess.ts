import { FrontDoor, type FrontDoorAnswer, type FrontDoorRequest } from "./frontDoor.ts";

// A process of its own: whoever waits for an answer of the API inside the lab's process, without giving way, would
// otherwise wait for himself.

const [address = "", port = ""] = process.argv.slice(2);
const door = new FrontDoor(address, Number(port));

process.on("message", (request: FrontDoorRequest) => {
  const done = request.backend === null ? door.close() : door.open(request.backend);
  done.then(
    () => process.send?.({} satisfies FrontDoorAnswer),
    (error: Error) => process.send?.({ problem: error.message } satisfies FrontDoorAnswer),
  );
});

// The lab has ended, in whatever way.
process.on("disconnect", () => process.exit(0));
