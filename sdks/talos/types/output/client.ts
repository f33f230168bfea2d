import type { TalosCredentials } from "../credentials.ts";

/** The credentials in the talosconfig. */
export type GetConfigurationClientConfiguration = TalosCredentials;
