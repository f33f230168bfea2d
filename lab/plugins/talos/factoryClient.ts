/** The few Image Factory requests that the provider makes. */
export class FactoryClient {
  readonly url: URL;

  constructor(url: string) {
    if (!URL.canParse(url)) {
      throw new Error(`imageFactoryUrl: ${JSON.stringify(url)} is no URL, such as https://factory.talos.dev`);
    }
    this.url = new URL(url);
  }

  /** Registers a schematic and returns the ID from the factory. */
  async register(schematicYaml: string, signal: AbortSignal): Promise<string> {
    const answer = await this.#request<{ id?: unknown }>("/schematics", signal, {
      method: "POST",
      headers: { "content-type": "application/yaml" },
      body: schematicYaml,
    });
    if (typeof answer.id !== "string") {
      throw new Error(`the image factory at ${this.url.origin} registered the schematic but sent no id`);
    }
    return answer.id;
  }

  async get<T>(path: string, signal: AbortSignal): Promise<T> {
    return this.#request<T>(path, signal, {});
  }

  async #request<T>(path: string, signal: AbortSignal, init: RequestInit): Promise<T> {
    const url = `${this.base}${path}`;
    let response: Response;
    try {
      response = await fetch(url, { ...init, signal });
    } catch (error) {
      const cause =
        error instanceof Error && error.cause instanceof Error ? error.cause.message : String(error);
      throw new Error(`${init.method ?? "GET"} ${url}: ${cause}`, { cause: error });
    }
    const text = await response.text();
    if (!response.ok) {
      const prefix = response.status === 400 ? "invalid schematic: " : "";
      throw new Error(`${init.method ?? "GET"} ${url}: ${prefix}HTTP ${response.status}: ${text.trim()}`);
    }
    return JSON.parse(text) as T;
  }

  /** The URL without a trailing slash. */
  get base(): string {
    return this.url.href.replace(/\/$/, "");
  }
}
