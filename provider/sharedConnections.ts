import type { TalosReader } from "../talos/api/talosClient.ts";
import type { TalosConnection } from "../talos/api/transport.ts";
import { override } from "./override.ts";
import type { Surroundings } from "./session.ts";

type SharedDial = Awaited<ReturnType<Surroundings["talos"]>>;

interface SharedConnection {
  readonly reader: TalosReader;
  users: number;
  closing?: NodeJS.Timeout;
}

/**
 * Read connections shared by resources that read the same node in sequence: each TLS handshake costs more than the calls. Closing one leaves it to the others,
 * and it ends after some idle time. No answer is cached. Actions on a node use connections of their own.
 */
export function shareConnections(talos: Surroundings["talos"], lingerMs = 3_000): Surroundings["talos"] {
  const lines = new Map<string, SharedConnection>();
  const opened = (key: string, connection: TalosConnection, dial: SharedDial): SharedConnection => {
    const known = lines.get(key);
    if (known !== undefined) return known;
    const line = { reader: dial(connection), users: 0 };
    lines.set(key, line);
    return line;
  };
  return async () => {
    const dial = await talos();
    return (connection) => {
      const key = JSON.stringify(connection);
      const line = opened(key, connection, dial);
      line.users += 1;
      clearTimeout(line.closing);
      const leave = once(() => {
        line.users -= 1;
        if (line.users > 0) return;
        line.closing = setTimeout(() => {
          lines.delete(key);
          line.reader.close();
        }, lingerMs).unref();
      });
      return override(line.reader, { close: leave });
    };
  };
}

function once(work: () => void): () => void {
  let done = false;
  return () => {
    if (done) return;
    done = true;
    work();
  };
}
