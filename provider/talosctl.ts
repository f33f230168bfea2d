/** A talosctl command for a message, including the node so that it can be pasted: `talosctl logs machined --nodes 10.0.0.21` */
export function talosctlCommand(command: string, node: string): string {
  return `\`talosctl ${command} --nodes ${node}\``;
}

/** How to remove an etcd member: talosctl expects its ID in hexadecimal, the API returns it in decimal. */
export function removeMemberCommand(id: string, through: string): string {
  const given = /^\d+$/.test(id) ? BigInt(id).toString(16).padStart(16, "0") : id;
  return talosctlCommand(`etcd remove-member ${given}`, through);
}
