import { createSecureContext, type SecureContext } from "node:tls";
import { pemCredentials, type TalosCredentials } from "./credentials.ts";

/**
 * TLS contexts for nodes, created once per set of credentials and not per connection: with a CA bundle in the environment (GRPC_DEFAULT_SSL_ROOTS_FILE_PATH) a
 * context takes 10 ms and 1 MB. It contains nothing specific to a connection; each connection verifies its peer.
 */
const contexts = new Map<string, SecureContext>();

/** A cluster has one set of credentials, and a second one during renewal. */
const maxContexts = 4;

let anonymous: SecureContext | undefined;

/** For machines that accept unauthenticated calls: no client certificate, and no CA. */
export function anonymousContext(): SecureContext {
  anonymous ??= createSecureContext({ ca: [] });
  return anonymous;
}

/** @throws if TLS can't use the credentials' certificate or key */
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
