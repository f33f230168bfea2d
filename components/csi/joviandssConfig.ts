import * as pulumi from "@pulumi/pulumi";
import { stringify } from "yaml";
import type { JovianDssSettings } from "./joviandssSettings.ts";

/** The settings that go into cfg.yaml. */
export type JovianDssConfigSource = Pick<JovianDssSettings, "endpoint" | "iscsi" | "logLevel">;

/**
 * The driver's cfg.yaml for one pool. It contains only keys that the driver reads (open-e/joviandss-kubernetescsi pkg/common/common.go): `pool` at the top
 * level, while `endpoint.pool`, `endpoint.name`, `endpoint.tries` and `logpath` of the official example are ignored, and without `logfile` it logs to stdout.
 */
function joviandssConfig(settings: JovianDssConfigSource, pool: string, password: string): string {
  const { endpoint, iscsi } = settings;
  return stringify(
    {
      loglevel: settings.logLevel,
      pool,
      endpoint: {
        addrs: endpoint.addresses,
        port: endpoint.port,
        prot: endpoint.protocol,
        user: endpoint.user,
        pass: password,
        idletimeout: endpoint.idleTimeout,
      },
      iscsi: { iqn: iscsi.targetPrefix, addrs: iscsi.addresses, port: iscsi.port },
    },
    // Quoted strings: the driver's YAML library has different rules for unquoted ones.
    { defaultStringType: "QUOTE_DOUBLE", defaultKeyType: "PLAIN", lineWidth: 0 },
  );
}

/** The same as a secret, with a password that may come from another resource. */
export function joviandssConfigSecret(
  settings: JovianDssConfigSource,
  pool: string,
  password: pulumi.Input<string>,
): pulumi.Output<string> {
  return pulumi.secret(pulumi.output(password).apply((plain) => joviandssConfig(settings, pool, plain)));
}
