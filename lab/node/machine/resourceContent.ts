/** One resource: its content as YAML shows it, and as the type's own message. */
export interface ResourceContent {
  id: string;
  spec: unknown;
  message?: object;
  annotations?: Record<string, string>;
  /** How often its content has changed in this boot. Default: as often as somebody saw another one. */
  version?: number;
  /** When its content became what it is. Default: when somebody saw it first. */
  updatedAt?: Date;
}
