/** What this process has changed, for messages alone: nothing is decided by it. */
export class DeploymentChanges {
  readonly #configurations = new Set<string>();
  readonly #hops: string[] = [];
  #kubernetes: string | undefined;

  /** A node was given its machine configuration. */
  noteConfiguration(name: string): void {
    this.#configurations.add(name);
  }

  /** Nodes that were several minor releases behind have reached a release on their way. */
  noteHop(release: string): void {
    this.#hops.push(release);
  }

  /** Kubernetes was upgraded because a Talos release on the way needs it. */
  noteKubernetes(release: string): void {
    this.#kubernetes = release;
  }

  /** What has been changed before a rollout that is not begun. */
  get describeBeforeRollout(): string {
    const kubernetes =
      this.#kubernetes === undefined ? "" : ` It has upgraded Kubernetes to ${this.#kubernetes}.`;
    return `${this.#partsBeforeRollout}${kubernetes}`;
  }

  get #partsBeforeRollout(): string {
    const names = [...this.#configurations].join(", ");
    if (this.#hops.length > 0)
      return (
        `This \`pulumi up\` has finished the ${this.#hops.length === 1 ? "hop" : "hops"} to ${this.#hops.join(", ")}: the nodes that were behind run that release` +
        (names === "" ? "." : `, and the machine configurations of ${names} were applied.`)
      );
    return names === ""
      ? "This `pulumi up` has applied no machine configuration and has upgraded or rebooted no node."
      : `This \`pulumi up\` has applied the machine configurations of ${names}, which stay; it has upgraded or rebooted no node.`;
  }
}
