import type { Role } from "./roles.ts";

/** Context of a call besides its request. */
export interface CallContext {
  readonly roles: ReadonlySet<Role>;
  /** Aborts when the caller is gone or the node loses power. */
  readonly signal: AbortSignal;
}

/** Sends one message of a stream. */
export type Send = (message: object) => void;

export type UnaryHandler = (request: never, context: CallContext) => Promise<object> | object;
export type StreamHandler = (request: never, send: Send, context: CallContext) => Promise<void>;

/** A node's own implementation of the API, by full method path. Request types are trusted as declared: the wire decoder produces them. */
export class Handlers {
  readonly #unary = new Map<string, UnaryHandler>();
  readonly #stream = new Map<string, StreamHandler>();

  unary<Request>(
    path: string,
    handler: (request: Request, context: CallContext) => Promise<object> | object,
  ): void {
    this.#unary.set(path, handler);
  }

  stream<Request>(
    path: string,
    handler: (request: Request, send: Send, context: CallContext) => Promise<void>,
  ): void {
    this.#stream.set(path, handler);
  }

  has(path: string): boolean {
    return this.#unary.has(path) || this.#stream.has(path);
  }

  async callUnary(path: string, request: object, context: CallContext): Promise<object> {
    const handler = this.#unary.get(path);
    if (handler === undefined) throw new Error(`${path} has no implementation`);
    return await handler(request as never, context);
  }

  async callStream(path: string, request: object, send: Send, context: CallContext): Promise<void> {
    const handler = this.#stream.get(path);
    if (handler === undefined) throw new Error(`${path} has no implementation`);
    await handler(request as never, send, context);
  }
}
