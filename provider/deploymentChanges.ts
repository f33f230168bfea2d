/** What this process has changed. Used in messages only; no decision depends on it. */
export class DeploymentChanges {
  readonly #configurations = new Set<string>();
  readonly #hops: string[] = [];
  #kubernetes: string | undefined;

  /** Records that a node received its machine configuration. */
  noteConfiguration(name: string): void {
    this.#configurations.add(name);
  }

  /** Records that nodes several minor releases behind reached an intermediate release. */
  noteHop(release: string): void {
    this.#hops.push(release);
  }

  /** Records that Kubernetes was upgraded because an intermediate Talos release needs it. */
  noteKubernetes(release: string): void {
    this.#kubernetes = release;
  }

  /** What was changed before a rollout that did not start. */
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
