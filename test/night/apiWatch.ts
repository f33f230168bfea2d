import { readFileSync } from "node:fs";
import { Agent, request } from "node:https";
import { parse } from "yaml";

const everyMs = 100;
const patienceMs = 2_000;

/** The longest outage in milliseconds, by address; 0 if there was none. */
export type Gaps = Record<string, number>;

interface Asked {
  at: number;
  answered?: boolean;
}

/** Polls the readiness of kube-apiservers from outside, each every 100 ms on a new connection. */
export class ApiWatch {
  readonly #asked = new Map<string, Asked[]>();
  readonly #credentials: { ca: Buffer; cert: Buffer; key: Buffer };
  readonly #timer: NodeJS.Timeout;

  constructor(kubeconfigFile: string, addresses: readonly string[]) {
    const { clusters, users } = parse(readFileSync(kubeconfigFile, "utf8")) as {
      clusters: { cluster: Record<string, string> }[];
      users: { user: Record<string, string> }[];
    };
    const decode = (text: string | undefined): Buffer => Buffer.from(text ?? "", "base64");
    this.#credentials = {
      ca: decode(clusters[0]?.cluster["certificate-authority-data"]),
      cert: decode(users[0]?.user["client-certificate-data"]),
      key: decode(users[0]?.user["client-key-data"]),
    };
    for (const address of addresses) this.#asked.set(address, []);
    this.#timer = setInterval(() => {
      for (const [address, asked] of this.#asked) this.#ask(address, asked);
    }, everyMs);
  }

  stop(): Gaps {
    clearInterval(this.#timer);
    return Object.fromEntries([...this.#asked].map(([address, asked]) => [address, longestGap(asked)]));
  }

  #ask(host: string, asked: Asked[]): void {
    const one: Asked = { at: Date.now() };
    asked.push(one);
    const agent = new Agent({ keepAlive: false });
    const question = request(
      { host, port: 6443, path: "/readyz", agent, timeout: patienceMs, ...this.#credentials },
      (response) => {
        response.resume().on("error", () => undefined);
        one.answered = response.statusCode === 200;
      },
    );
    question.on("error", () => (one.answered ??= false));
    question.on("timeout", () => question.destroy());
    question.end();
  }
}

/** The longest time between two successful requests with failed ones in between. */
function longestGap(asked: readonly Asked[]): number {
  let longest = 0;
  let last: number | undefined;
  let missing = false;
  for (const { at, answered } of asked) {
    if (answered === undefined) continue; // still in flight at the end
    if (!answered) {
      missing = true;
      continue;
    }
    if (missing && last !== undefined) longest = Math.max(longest, at - last);
    last = at;
    missing = false;
  }
  return longest;
}
