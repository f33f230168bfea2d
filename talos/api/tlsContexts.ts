import { createSecureContext, type SecureContext } from "node:tls";
import { pemCredentials, type TalosCredentials } from "./credentials.ts";

/**
 * What TLS needs to speak to nodes, made once for a set of credentials and not for each connection: with a list of authorities in the environment
 * (GRPC_DEFAULT_SSL_ROOTS_FILE_PATH) a context takes 10 ms and 1 MB. Nothing of a connection is in it; each connection checks whom it speaks to.
 */
const contexts = new Map<string, SecureContext>();

/** A cluster has one set of credentials, and a second one while they are renewed. */
const maxContexts = 4;

let anonymous: SecureContext | undefined;

/** For machines that let anyone in: no client certificate, and no authority. */
export function anonymousContext(): SecureContext {
  anonymous ??= createSecureContext({ ca: [] });
  return anonymous;
}

/** @throws where the credentials are no certificate and key that TLS can use */
export function clientContext(credentials: TalosCredentials): SecureContext {
  const { caCertificate, clientCertificate, clientKey } = credentials;
  const key = JSON.stringify([caCertificate, clientCertificate, clientKey]);
  const known = contexts.get(key);
  if (known !== undefined) return known;
  const { ca, certificate, key: privateKey } = pemCredentials(credentials);
  const made = createSecureContext({ ca, cert: certificate, key: privateKey });
  const [oldest] = contexts.keys();
  if (contexts.size >= maxContexts && oldest !== undefined) contexts.delete(oldest);
  contexts.set(key, made);
  return made;
}
