import type { TalosCredentials, TalosCredentialsArgs } from "../credentials.ts";

/** The credentials that go into the talosconfig. */
export type GetConfigurationClientConfiguration = TalosCredentials;

/** {@link GetConfigurationClientConfiguration} that may come from another resource. */
export type GetConfigurationClientConfigurationArgs = TalosCredentialsArgs;
