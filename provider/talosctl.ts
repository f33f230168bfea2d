/** A talosctl command for a message: it names the node, so that it can be pasted as it stands. `talosctl logs machined --nodes 10.0.0.21` */
export function talosctlCommand(command: string, node: string): string {
  return `\`talosctl ${command} --nodes ${node}\``;
}

/** How to take a member out of etcd: talosctl wants its ID in hexadecimal, the API has it as a decimal number. */
export function removeMemberCommand(id: string, through: string): string {
  const given = /^\d+$/.test(id) ? BigInt(id).toString(16).padStart(16, "0") : id;
  return talosctlCommand(`etcd remove-member ${given}`, through);
}
