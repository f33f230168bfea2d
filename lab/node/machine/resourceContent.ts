/** One resource: its content as YAML, and as its type's own message. */
export interface ResourceContent {
  id: string;
  spec: unknown;
  message?: object;
  annotations?: Record<string, string>;
  /** How often its content has changed in this boot. Default: the number of changes seen by readers. */
  version?: number;
  /** When its content last changed. Default: when a reader first saw it. */
  updatedAt?: Date;
}
