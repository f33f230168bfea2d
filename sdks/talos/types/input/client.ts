import type { TalosCredentials, TalosCredentialsArgs } from "../credentials.ts";

/** The credentials to put in the talosconfig. */
export type GetConfigurationClientConfiguration = TalosCredentials;

/** {@link GetConfigurationClientConfiguration} whose fields may be outputs of other resources. */
export type GetConfigurationClientConfigurationArgs = TalosCredentialsArgs;
