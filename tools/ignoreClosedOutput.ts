/**
 * Lets a command go on when nobody reads its output any more (`| head`, a terminal that is gone, a parent that was killed). Without a listener the
 * failed write is an uncaught exception. A program that runs in this process tells those to the engine, which prints them, which fails again, and
 * so on: the process spins and grows until it is killed.
 */
export function ignoreClosedOutput(): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code !== "EPIPE") throw error;
    });
  }
}
