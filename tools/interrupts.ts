/** Signals with which people and init systems end a program. */
const endSignals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/**
 * Runs some work that must clean up after itself when the program is told to end. If nobody else listens for the
 * signal, it takes its usual course afterwards: the program ends with it, as without this.
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
