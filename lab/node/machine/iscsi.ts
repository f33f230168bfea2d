/** A kernel connection to an iSCSI target. */
interface SessionAt {
  target: string;
  address: string;
  port: number;
}

/** The kernel's sessions of one boot, numbered in order; numbers aren't reused. */
export class IscsiSessions {
  readonly #sessions = new Map<number, SessionAt>();
  #next = 1;

  /** Logs in, unless there already is a session with the target. */
  login(target: string, address = "127.0.0.1", port = 3260): void {
    if (![...this.#sessions.values()].some((session) => session.target === target))
      this.#sessions.set(this.#next++, { target, address, port });
  }

  logout(target: string): void {
    for (const [id, session] of this.#sessions) if (session.target === target) this.#sessions.delete(id);
  }

  get targets(): string[] {
    return [...this.#sessions.values()].map(({ target }) => target);
  }

  /**
   * What the kernel shows of the sessions, and the symlinks in their classes (linux scsi_transport_iscsi.c). The class directories exist even without a session.
   */
  sysfs(): { files: Map<string, string>; links: Map<string, string> } {
    const files = new Map<string, string>();
    const links = new Map<string, string>();
    for (const [id, { target, address, port }] of this.#sessions) {
      const session = `/sys/class/iscsi_session/session${id}`;
      links.set(session, `../../devices/platform/host${id}/session${id}/iscsi_session/session${id}`);
      files.set(`${session}/targetname`, `${target}\n`);
      files.set(`${session}/state`, "LOGGED_IN\n");
      const connection = `/sys/class/iscsi_connection/connection${id}:0`;
      links.set(
        connection,
        `../../devices/platform/host${id}/session${id}/connection${id}:0/iscsi_connection/connection${id}:0`,
      );
      files.set(`${connection}/persistent_address`, `${address}\n`);
      files.set(`${connection}/persistent_port`, `${port}\n`);
    }
    return { files, links };
  }
}
