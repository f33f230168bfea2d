/** Lines that replace those of a machine configuration's changes in the property `changes` of a NodeConfiguration. */

const first = "+ everything:";
const unanswered = "not known:";

export const firstConfigurationLine = `${first} the machine waits for its first configuration`;

/** @param label the node's name and address */
export function unansweredLine(label: string): string {
  return `${unanswered} ${label} could not be read`;
}

/** The machine has no configuration yet. */
export function isFirstConfiguration(line: string): boolean {
  return line.startsWith(first);
}

/** The machine's configuration could not be read. */
export function isUnanswered(line: string): boolean {
  return line.startsWith(unanswered);
}
