import { readFileSync, rmSync } from "node:fs";
import { request } from "node:https";
import type { TLSSocket } from "node:tls";
import { setTimeout as sleep } from "node:timers/promises";
import { stringify } from "yaml";
import { apiServerArgs, type ComponentContext } from "./commands.ts";
import type { ControlPlaneSettings } from "./configuration.ts";
import { type Authorities, issueServingCertificate, type SecretFolder } from "./credentials.ts";
import { ManagedProcess } from "./process.ts";

/** kube-apiserver did not come up; the message has its own words. */
export class ApiServerError extends Error {
  override readonly name = "ApiServerError";
}

/** What one generation of kube-apiserver is started with. */
export interface ApiServerOptions {
  readonly command: string;
  readonly generation: number;
  readonly context: ComponentContext;
  readonly secrets: SecretFolder;
  readonly authorities: Authorities;
  readonly nodeAddresses: readonly string[];
  readonly runDirectory: string;
}

/** One process of kube-apiserver with the configuration files that belong to it. */
export class ApiServer {
  readonly process: ManagedProcess;
  readonly #serial: string;
  readonly #probe: () => Promise<Answer>;
  readonly #files: readonly string[];

  private constructor(
    process: ManagedProcess,
    serial: string,
    probe: () => Promise<Answer>,
    files: readonly string[],
  ) {
    this.process = process;
    this.#serial = serial;
    this.#probe = probe;
    this.#files = files;
  }

  static async start(options: ApiServerOptions): Promise<ApiServer> {
    const { generation, context, secrets, authorities } = options;
    const { settings, address } = context;
    const files = {
      servingCertificate: `apiserver-${generation}`,
      admission: `admission-${generation}.yaml`,
      auditPolicy: `audit-policy-${generation}.yaml`,
    };
    const args = apiServerArgs(context, files);
    const serial = await issueServingCertificate(
      secrets,
      files.servingCertificate,
      settings,
      authorities.kubernetes,
      address,
      options.nodeAddresses,
    );
    secrets.write(files.admission, stringify(admissionConfiguration(settings)));
    secrets.write(files.auditPolicy, stringify(settings.apiServer.auditPolicy));
    const process = new ManagedProcess({
      name: "kube-apiserver",
      command: options.command,
      args,
      logDirectory: context.logDirectory,
      runDirectory: options.runDirectory,
    });
    const port = Number(settings.endpoint.port || "443");
    const written = [
      `${files.servingCertificate}.crt`,
      `${files.servingCertificate}.key`,
      files.admission,
      files.auditPolicy,
    ];
    return new ApiServer(
      process,
      serial,
      () => probe(address, port, secrets),
      written.map((name) => secrets.path(name)),
    );
  }

  /**
   * Waits until this very process answers. Two generations may listen on the port at once, and the serial number of the
   * certificate tells which of them took the connection.
   */
  async ready(timeoutMilliseconds: number): Promise<void> {
    const deadline = Date.now() + timeoutMilliseconds;
    for (;;) {
      if (this.process.exited !== undefined) throw new ApiServerError(this.#failure(this.process.exited));
      const answer = await this.#probe();
      if (answer.ready && sameSerial(answer.serial, this.#serial)) return;
      if (Date.now() > deadline)
        throw new ApiServerError(this.#failure(`not ready after ${timeoutMilliseconds / 1000} s`));
      await sleep(50);
    }
  }

  async stop(): Promise<void> {
    await this.process.stop();
    for (const file of this.#files) rmSync(file, { force: true });
  }

  #failure(how: string): string {
    const tail = this.process.logTail(40);
    const words = /"command failed" err="((?:[^"\\]|\\.)*)"/.exec(tail)?.[1]?.replaceAll('\\"', '"');
    return `kube-apiserver: ${how}: ${words ?? tail.split("\n").slice(-3).join("\n")} (${this.process.logFile})`;
  }
}

interface Answer {
  readonly ready: boolean;
  readonly serial: string;
}

/** One question on a connection of its own. */
export function probe(address: string, port: number, secrets: SecretFolder): Promise<Answer> {
  const unready: Answer = { ready: false, serial: "" };
  return new Promise((resolve) => {
    const question = request(
      {
        host: address,
        port,
        path: "/readyz",
        agent: false,
        timeout: 2000,
        ca: readFileSync(secrets.path("ca.crt")),
        cert: readFileSync(secrets.path("kubelet-client.crt")),
        key: readFileSync(secrets.path("kubelet-client.key")),
      },
      (response) => {
        const serial = (response.socket as TLSSocket).getPeerX509Certificate()?.serialNumber ?? "";
        response.resume().on("error", () => undefined);
        resolve({ ready: response.statusCode === 200, serial });
      },
    );
    question.on("error", () => resolve(unready));
    question.on("timeout", () => question.destroy());
    question.end();
  });
}

function sameSerial(one: string, other: string): boolean {
  const plain = (serial: string) => serial.toUpperCase().replace(/^0+/, "");
  return plain(one) === plain(other);
}

function admissionConfiguration(settings: ControlPlaneSettings): object {
  return {
    apiVersion: "apiserver.config.k8s.io/v1",
    kind: "AdmissionConfiguration",
    plugins: settings.apiServer.admission.map(({ name, configuration }) => ({ name, configuration })),
  };
}
