/** The kernel's ring buffer of one boot. Talos writes its own messages there too, with a prefix (`talosctl dmesg`). */
export class KernelLog {
  readonly #lines: string[] = [];
  readonly #readers = new Set<(line: string) => void>();

  /** A message from Talos. */
  talos(message: string): void {
    this.#write("user", "warning", `[talos] ${message}`);
  }

  kernel(message: string): void {
    this.#write("kern", "info", message);
  }

  // The line format of the API (siderolabs/talos v1.13.9 v1alpha1_server.go Dmesg).
  #write(facility: string, priority: string, message: string): void {
    const line = `${facility}: ${priority.padStart(7)}: [${new Date().toISOString()}]: ${message}\n`;
    this.#lines.push(line);
    for (const reader of this.#readers) reader(line);
  }

  /** Sends past lines, unless `tail` asks for new ones only; with `follow`, sends new lines until the signal aborts. */
  async read(
    { follow, tail }: { follow: boolean; tail: boolean },
    send: (line: string) => void,
    signal: AbortSignal,
  ): Promise<void> {
    if (!tail) this.#lines.forEach(send);
    if (!follow) return;
    this.#readers.add(send);
    await new Promise<void>((resolve) => {
      if (signal.aborted) resolve();
      signal.addEventListener("abort", () => resolve(), { once: true });
    });
    this.#readers.delete(send);
  }
}
