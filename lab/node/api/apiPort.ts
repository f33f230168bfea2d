import { Apid, type ApidIdentity, type ServedMachine } from "./apid.ts";
import { configuredIdentity, maintenanceIdentity } from "./identity.ts";
import { Wire } from "./wire.ts";

/** The port Talos listens on. */
const port = 50000;

/** The API of a node on its network address: first without client certificates, then with those of its configuration. */
export class ApiPort {
  readonly wire = new Wire();
  readonly #node: ServedMachine;
  #apid: Apid | undefined;
  /** Replaced servers that still serve their existing connections. */
  readonly #draining = new Set<Apid>();
  /** Serializes changes of credentials: the last requested one wins. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(node: ServedMachine) {
    this.#node = node;
  }

  /** Where other nodes reach it: they are on the same network, so there is no port forwarding and no firewall. */
  get inside(): string | undefined {
    return this.#apid?.target;
  }

  async #serve(
    identity: ApidIdentity,
    gracefully: boolean,
    outside: number | "closed" = this.#node.outside,
  ): Promise<void> {
    const { power } = this.#node;
    const apid = new Apid(this.#node, identity);
    await apid.start();
    if (power.aborted) {
      await apid.stop();
      return;
    }
    const before = this.#apid;
    this.#apid = apid;
    await this.wire.move(outside === "closed" ? undefined : { address: this.#node.address, port: outside });
    this.#node.settled();
    if (before === undefined) return;
    if (!gracefully) {
      await before.stop();
      return;
    }
    // apid uses new certificates for new connections and keeps open ones (siderolabs/talos v1.13 internal/app/apid/pkg/provider/provider.go).
    this.#draining.add(before);
  }

  /** Port forwarding is in place before the configuration is; a machine in a closed network is installed from inside it. */
  async serveMaintenance(): Promise<void> {
    const { outside } = this.#node;
    await this.#serve(await maintenanceIdentity(this.#node), false, outside === "closed" ? port : outside);
  }

  /**
   * @param gracefully keep open connections
   * @returns false while no node can sign this node's certificate
   */
  async serveConfigured(gracefully = false): Promise<boolean> {
    const turn = this.#turn.then(() => this.#configure(gracefully));
    this.#turn = turn.catch(() => {});
    return await turn;
  }

  async #configure(gracefully: boolean): Promise<boolean> {
    const { config, faults, network } = this.#node;
    if (config === undefined) return false;
    const identity = await configuredIdentity(config, this.#node, network, {
      clockSkewed: faults.has("clock-skewed"),
      refusesCertificates: faults.has("certificates-refused"),
    });
    if (identity === undefined) return false;
    await this.#serve(identity, gracefully);
    return true;
  }

  async close(): Promise<void> {
    await this.wire.close();
    const apid = this.#apid;
    this.#apid = undefined;
    const all = [...(apid === undefined ? [] : [apid]), ...this.#draining];
    this.#draining.clear();
    await Promise.all(all.map(async (each) => each.stop()));
  }
}
