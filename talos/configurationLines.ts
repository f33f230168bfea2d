/** Lines that stand where those of a machine configuration's changes would: in the property `changes` of a NodeConfiguration. */

const first = "+ everything:";
const unanswered = "not known:";

export const firstConfigurationLine = `${first} the machine waits for its first configuration`;

/** @param label the node's name and address */
export function unansweredLine(label: string): string {
  return `${unanswered} ${label} did not answer`;
}

/** The machine has no configuration yet. */
export function isFirstConfiguration(line: string): boolean {
  return line.startsWith(first);
}

/** What the machine has could not be asked. */
export function isUnanswered(line: string): boolean {
  return line.startsWith(unanswered);
}
