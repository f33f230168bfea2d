/**
 * Keeps a command running when nobody reads its output anymore (`| head`, a closed terminal, a killed parent). Without a listener, the failed
 * write is an uncaught exception. A Pulumi program in this process reports it to the engine, the engine prints it, that write fails as well, and so
 * on: the process spins and grows until it is killed.
 */
export function ignoreClosedOutput(): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code !== "EPIPE") throw error;
    });
  }
}
