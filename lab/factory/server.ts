import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import semver from "semver";
import { resolveExtension, officialExtensions, talosVersions } from "./catalogue.ts";
import { InvalidSchematicError, readSchematic, UnsupportedSchematicError } from "./document.ts";
import type { FactorySchematic } from "./document.ts";
import { HttpFailure, jsonAnswer, readBody } from "./http.ts";
import type { Answer } from "./http.ts";

export interface FactoryOptions {
  /** Address to listen on. Default: 127.0.0.1. */
  host?: string;
  /** Default: 0, any free port. */
  port?: number;
  /** Keeps the registered schematics across restarts. */
  directory?: string;
  /** Receives one line per answered request. */
  log?: (line: string) => void;
}

/** Faults to inject. They can change while the server runs. */
export interface FactoryFaults {
  /** The ID returned for every registration, whatever was registered. */
  answerId?: string;
  /** The HTTP status with which every request fails. */
  failWith?: number;
  /** Schematics that it doesn't know (or no longer knows), by ID. */
  forgotten: Set<string>;
  /** Extensions that are missing from every release, such as `siderolabs/iscsi-tools`. */
  missingExtensions: Set<string>;
  /** Talos releases without images. */
  missingVersions: Set<string>;
  /** Delay of every answer. */
  delayMs?: number;
}

const VANILLA = "customization: {}\n";
const ID = "([0-9a-f]{64})";

/** An Image Factory that serves schematics, versions and installer images. It builds nothing: an image only describes its contents. */
export class FactoryServer {
  readonly faults: FactoryFaults = {
    forgotten: new Set(),
    missingExtensions: new Set(),
    missingVersions: new Set(),
  };
  readonly #options: FactoryOptions;
  readonly #schematics = new Map<string, FactorySchematic>();
  readonly #manifests = new Map<string, string>();
  #server: Server | undefined;
  #url = "";

  constructor(options: FactoryOptions = {}) {
    this.#options = options;
    this.#add(readSchematic(VANILLA));
    if (options.directory !== undefined) {
      mkdirSync(options.directory, { recursive: true, mode: 0o700 });
      for (const file of readdirSync(options.directory).filter((name) => name.endsWith(".yaml"))) {
        this.#add(readSchematic(readFileSync(join(options.directory, file), "utf8")));
      }
    }
  }

  /** Such as `http://127.10.0.2:8080`, once started. */
  get url(): string {
    return this.#url;
  }

  /** Whether this schematic was registered. */
  knows(id: string): boolean {
    return this.schematic(id) !== undefined;
  }

  schematic(id: string): FactorySchematic | undefined {
    return this.faults.forgotten.has(id) ? undefined : this.#schematics.get(id);
  }

  async start(): Promise<void> {
    const { host = "127.0.0.1", port = 0 } = this.#options;
    const server = createServer((request, response) => {
      void this.#serve(request, response);
    });
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(port, host, () => {
        server.off("error", reject);
        resolve();
      });
    });
    this.#server = server;
    this.#url = `http://${host}:${(server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    if (server !== undefined) {
      await new Promise((resolve) => {
        server.close(resolve);
        server.closeAllConnections();
      });
    }
  }

  #add(schematic: FactorySchematic): void {
    this.#schematics.set(schematic.id, schematic);
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const method = request.method ?? "GET";
    const { pathname } = new URL(request.url ?? "/", "http://factory");
    let answer: Answer;
    try {
      const body = await readBody(request);
      if (this.faults.delayMs !== undefined) {
        await new Promise((resolve) => setTimeout(resolve, this.faults.delayMs));
      }
      answer = this.#answer(method, pathname, body);
    } catch (error) {
      const status = error instanceof HttpFailure ? error.status : 500;
      const message = error instanceof Error ? error.message : String(error);
      answer = { status, type: "text/plain; charset=utf-8", body: `${message}\n` };
    }
    this.#options.log?.(`${method} ${pathname} ${answer.status}`);
    response.writeHead(answer.status, {
      "content-type": answer.type,
      "content-length": Buffer.byteLength(answer.body),
      ...answer.headers,
    });
    response.end(method === "HEAD" ? undefined : answer.body);
  }

  #answer(method: string, path: string, body: string): Answer {
    if (this.faults.failWith !== undefined) {
      throw new HttpFailure(this.faults.failWith, "internal server error");
    }
    if (method === "POST" && path === "/schematics") {
      return this.#register(body);
    }
    if (method !== "GET" && method !== "HEAD") {
      throw new HttpFailure(405, "Method Not Allowed");
    }
    if (path === "/healthz" || path === "/readyz" || path === "/v2" || path === "/v2/") {
      return { status: 200, type: "text/plain", body: "" };
    }
    if (path === "/versions") {
      return jsonAnswer(talosVersions.filter((version) => !this.faults.missingVersions.has(version)));
    }
    const routes: [RegExp, (...parts: string[]) => Answer][] = [
      [new RegExp(`^/schematics/${ID}$`), (id) => this.#document(id)],
      [/^\/version\/([^/]+)\/extensions\/official$/, (version) => jsonAnswer(this.#extensions(version))],
      [/^\/version\/([^/]+)\/overlays\/official$/, () => jsonAnswer([])],
      [
        new RegExp(`^/v2/((?:[a-z0-9-]+-)?installer(?:-secureboot)?)/${ID}/manifests/([^/]+)$`),
        (installer, id, reference) => this.#manifest(installer, id, reference),
      ],
      [new RegExp(`^/image/${ID}/([^/]+)/([^/]+)$`), (id, version, file) => this.#asset(id, version, file)],
      [new RegExp(`^/pxe/${ID}/([^/]+)/([^/]+)$`), (id, version, file) => this.#pxe(id, version, file)],
    ];
    for (const [pattern, handle] of routes) {
      const match = pattern.exec(path);
      if (match !== null) {
        return handle(...match.slice(1).map(decodeURIComponent));
      }
    }
    throw new HttpFailure(404, "404 page not found");
  }

  #register(body: string): Answer {
    let schematic: FactorySchematic;
    try {
      schematic = readSchematic(body);
    } catch (error) {
      if (error instanceof UnsupportedSchematicError) {
        throw new HttpFailure(501, error.message);
      }
      throw error instanceof InvalidSchematicError ? new HttpFailure(400, error.message) : error;
    }
    this.#add(schematic);
    this.faults.forgotten.delete(schematic.id);
    if (this.#options.directory !== undefined) {
      writeFileSync(join(this.#options.directory, `${schematic.id}.yaml`), schematic.yaml, { mode: 0o600 });
    }
    return jsonAnswer({ id: this.faults.answerId ?? schematic.id, schematic: schematic.yaml }, 201);
  }

  #known(id: string): FactorySchematic {
    const schematic = this.schematic(id);
    if (schematic === undefined) {
      throw new HttpFailure(404, "schematic not found");
    }
    return schematic;
  }

  #document(id: string): Answer {
    return { status: 200, type: "application/yaml", body: this.#known(id).yaml };
  }

  #release(version: string): string {
    const tag = version === "latest" ? this.#latest() : `v${version.replace(/^v/, "")}`;
    if (!talosVersions.includes(tag) || this.faults.missingVersions.has(tag)) {
      throw new HttpFailure(404, `version ${tag} is not available`);
    }
    return tag;
  }

  #latest(): string {
    const stable = talosVersions.filter((version) => semver.prerelease(version) === null);
    return semver.rsort([...stable])[0] ?? "";
  }

  #extensions(version: string): ReturnType<typeof officialExtensions> {
    return officialExtensions(this.#release(version), digestOf).filter(
      ({ name }) => !this.faults.missingExtensions.has(name),
    );
  }

  /** A release and a schematic that go together. Only here does the factory notice a missing extension. */
  #buildable(id: string, version: string): { schematic: FactorySchematic; tag: string } {
    const schematic = this.#known(id);
    const tag = this.#release(version);
    const available = this.#extensions(tag).map(({ name }) => name);
    const missing = schematic.extensions.find(
      (name) => !available.includes(resolveExtension(name, tag) ?? name),
    );
    if (missing !== undefined) {
      throw new HttpFailure(
        400,
        `official extension ${JSON.stringify(missing)} is not available for Talos version ${tag}`,
      );
    }
    return { schematic, tag };
  }

  #manifest(installer: string, id: string, reference: string): Answer {
    const manifest = reference.startsWith("sha256:")
      ? this.#manifests.get(`${installer}/${this.#known(id).id}@${reference}`)
      : this.#build(installer, id, reference);
    if (manifest === undefined) {
      throw new HttpFailure(404, "manifest unknown");
    }
    return {
      status: 200,
      type: "application/vnd.oci.image.index.v1+json",
      body: manifest,
      headers: { "docker-content-digest": digestOf(manifest) },
    };
  }

  #build(installer: string, id: string, reference: string): string {
    const { schematic, tag } = this.#buildable(id, reference);
    const manifest = JSON.stringify({
      schemaVersion: 2,
      mediaType: "application/vnd.oci.image.index.v1+json",
      manifests: ["amd64", "arm64"].map((architecture) => ({
        mediaType: "application/vnd.oci.image.manifest.v1+json",
        digest: digestOf(`${installer}/${schematic.id}:${tag}/${architecture}`),
        size: 0,
        platform: { os: "linux", architecture },
      })),
    });
    this.#manifests.set(`${installer}/${id}@${digestOf(manifest)}`, manifest);
    return manifest;
  }

  #asset(id: string, version: string, file: string): Answer {
    const { schematic, tag } = this.#buildable(id, version);
    return {
      status: 200,
      type: "application/octet-stream",
      body: `Talos ${tag} ${file} of schematic ${schematic.id}\n`,
      headers: { "content-disposition": `attachment; filename="${file}"` },
    };
  }

  #pxe(id: string, version: string, file: string): Answer {
    const { schematic, tag } = this.#buildable(id, version);
    const architecture = file.includes("arm64") ? "arm64" : "amd64";
    const image = `${this.#url}/image/${schematic.id}/${tag}`;
    const script = [
      "#!ipxe",
      "",
      `kernel ${image}/kernel-${architecture}`,
      `initrd ${image}/initramfs-${architecture}.xz`,
      "boot",
      "",
    ];
    return { status: 200, type: "text/plain; charset=utf-8", body: script.join("\n") };
  }
}

function digestOf(content: string): string {
  return `sha256:${createHash("sha256").update(content).digest("hex")}`;
}
