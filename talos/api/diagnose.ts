import { connect } from "node:tls";
import { pemCredentials, type TalosCredentials } from "./credentials.ts";
import { certificateErrorPattern } from "./errors.ts";

const limitMs = 2_000;

/**
 * Why TLS to a node fails; undefined if it works, or if nothing answers. gRPC says only "failed to connect" when a node rejects the client certificate, because
 * in TLS 1.3 the rejection comes after the handshake.
 */
export async function diagnoseTls(
  host: string,
  port: number,
  credentials: TalosCredentials,
): Promise<string | undefined> {
  const { ca, certificate, key } = pemCredentials(credentials);
  return new Promise((resolve) => {
    let shookHands = false;
    const socket = connect({ host, port, ca, cert: certificate, key, ALPNProtocols: ["h2"] });
    const finish = (result: string | undefined): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve(result);
    };
    const timer = setTimeout(() => {
      finish(undefined);
    }, limitMs);
    socket.once("secureConnect", () => (shookHands = true));
    // An HTTP/2 server speaks first: a received byte means the client was accepted.
    socket.once("data", () => {
      finish(undefined);
    });
    socket.once("error", (error: NodeJS.ErrnoException) => {
      const message = error.code === undefined ? error.message : `${error.message} (${error.code})`;
      finish(
        shookHands || certificateErrorPattern.test(message)
          ? explainTlsFailure(shookHands, message)
          : undefined,
      );
    });
    socket.once("end", () => {
      finish(shookHands ? explainTlsFailure(true, "connection closed") : undefined);
    });
  });
}

/** Whether TLS works without a client certificate. Only Talos in maintenance mode, which has no CA yet, allows that. */
export async function acceptsAnyClient(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    // The certificate can't be verified: the machine signed it itself. Nothing is sent to it here.
    const socket = connect({ host, port, rejectUnauthorized: false, ALPNProtocols: ["h2"] });
    const finish = (result: boolean): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve(result);
    };
    const timer = setTimeout(() => {
      finish(false);
    }, limitMs);
    // As above: a received byte means the client was accepted.
    socket.once("data", () => {
      finish(true);
    });
    for (const event of ["error", "end", "close"]) {
      socket.once(event, () => {
        finish(false);
      });
    }
  });
}

/** Describes TLS trouble with a forwarding endpoint, worded so that it isn't mistaken for the node's. */
export function endpointTlsMessage(host: string, message: string): string {
  const name = `the endpoint ${host}`;
  if (message.startsWith("the node does not accept")) return message.replace("the node", name);
  return /expired|not yet valid/i.test(message)
    ? `the certificate of ${name} has expired or is not yet valid`
    : `${name} has a certificate that is not of this cluster, or not for its name`;
}

function explainTlsFailure(shookHands: boolean, message: string): string {
  return shookHands ? `the node does not accept the client certificate: ${message}` : message;
}
