/** What this process has changed, for messages alone: nothing is decided by it. */
export class ChangedSoFar {
  readonly #configurations = new Set<string>();

  /** A node was given its machine configuration. */
  noteConfiguration(name: string): void {
    this.#configurations.add(name);
  }

  /** What has been changed before a rollout that is not begun. */
  get beforeRollout(): string {
    const names = [...this.#configurations].join(", ");
    return names === ""
      ? "This `pulumi up` has applied no machine configuration, and has upgraded and rebooted no node."
      : `This \`pulumi up\` has applied the machine configurations of ${names}, which stay; it has upgraded and rebooted no node.`;
  }
}
