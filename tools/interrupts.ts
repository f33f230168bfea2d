/** Signals that users and init systems send to stop a program. */
const endSignals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/**
 * Runs work that must clean up when the program is told to stop. If nobody else listens for the signal, it is
 * raised again afterwards, so the program ends with it as usual.
 */
export async function abortOnSignals<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const controller = new AbortController();
  let received: NodeJS.Signals | undefined;
  const listener = (signal: NodeJS.Signals): void => {
    received ??= signal;
    controller.abort(new Error(`ended by ${signal}`));
  };
  for (const signal of endSignals) {
    process.on(signal, listener);
  }
  try {
    return await work(controller.signal);
  } finally {
    for (const signal of endSignals) {
      process.removeListener(signal, listener);
    }
    if (received !== undefined && process.listenerCount(received) === 0) {
      process.kill(process.pid, received);
    }
  }
}
