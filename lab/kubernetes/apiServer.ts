import { readFileSync, rmSync } from "node:fs";
import { request } from "node:https";
import { setTimeout as sleep } from "node:timers/promises";
import { stringify } from "yaml";
import { apiServerArgs, type ComponentContext } from "./commands.ts";
import type { ControlPlaneSettings } from "./configuration.ts";
import { type Authorities, issueServingCertificate, type SecretFolder } from "./credentials.ts";
import { ManagedProcess } from "./process.ts";

/** Where a kube-apiserver listens. */
export interface Listener {
  readonly host: string;
  readonly port: number;
}

/** kube-apiserver didn't come up; the message contains its own error. */
class ApiServerError extends Error {
  override readonly name = "ApiServerError";
}

/** Start options of one kube-apiserver generation. */
export interface ApiServerOptions {
  readonly command: string;
  readonly generation: number;
  readonly listener: Listener;
  readonly context: ComponentContext;
  readonly secrets: SecretFolder;
  readonly authorities: Authorities;
  readonly nodeAddresses: readonly string[];
  /** Default: `audit.log`. */
  readonly auditLog?: string;
  readonly runDirectory: string;
}

/** One kube-apiserver process with its configuration files. */
export class ApiServer {
  readonly process: ManagedProcess;
  readonly listener: Listener;
  readonly #probe: () => Promise<boolean>;
  readonly #files: readonly string[];

  private constructor(
    process: ManagedProcess,
    listener: Listener,
    probe: () => Promise<boolean>,
    files: readonly string[],
  ) {
    this.process = process;
    this.listener = listener;
    this.#probe = probe;
    this.#files = files;
  }

  static async start(options: ApiServerOptions): Promise<ApiServer> {
    const { generation, listener, context, secrets, authorities } = options;
    const { settings, address } = context;
    const files = {
      servingCertificate: `apiserver-${generation}`,
      admission: `admission-${generation}.yaml`,
      auditPolicy: `audit-policy-${generation}.yaml`,
      auditLog: options.auditLog ?? "audit.log",
    };
    const args = apiServerArgs(context, files, listener);
    await issueServingCertificate(
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
    const written = [
      `${files.servingCertificate}.crt`,
      `${files.servingCertificate}.key`,
      files.admission,
      files.auditPolicy,
    ];
    return new ApiServer(
      process,
      listener,
      () => isApiReady(listener, secrets),
      written.map((name) => secrets.path(name)),
    );
  }

  /** Whether it is ready. */
  answers(): Promise<boolean> {
    return this.#probe();
  }

  async ready(timeoutMilliseconds: number): Promise<void> {
    const deadline = Date.now() + timeoutMilliseconds;
    while (!(await this.#probe())) {
      if (this.process.exited !== undefined) throw new ApiServerError(this.#failure(this.process.exited));
      if (Date.now() > deadline) {
        throw new ApiServerError(this.#failure(`not ready after ${timeoutMilliseconds / 1000} s`));
      }
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

/** Whether the API at this address is ready. Uses a new connection. */
export function isApiReady({ host, port }: Listener, secrets: SecretFolder): Promise<boolean> {
  return new Promise((resolve) => {
    const question = request(
      {
        host,
        port,
        path: "/readyz",
        agent: false,
        timeout: 2000,
        ca: readFileSync(secrets.path("ca.crt")),
        cert: readFileSync(secrets.path("kubelet-client.crt")),
        key: readFileSync(secrets.path("kubelet-client.key")),
      },
      (response) => {
        response.resume().on("error", () => undefined);
        resolve(response.statusCode === 200);
      },
    );
    question.on("error", () => resolve(false));
    question.on("timeout", () => question.destroy());
    question.end();
  });
}

function admissionConfiguration(settings: ControlPlaneSettings): object {
  return {
    apiVersion: "apiserver.config.k8s.io/v1",
    kind: "AdmissionConfiguration",
    plugins: settings.apiServer.admission.map(({ name, configuration }) => ({ name, configuration })),
  };
}
