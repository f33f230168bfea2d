/** Which stacks there are, and which a change concerns. */

// Stacks of the lab, which no pipeline can reach, and files that are there to be copied.
const noEnvironment = /^(dev|dev-new|template|.*\.example)$/;

/** The stacks of the environments, by the files in the project's folder. */
export function stacksIn(files: readonly string[]): string[] {
  return files
    .flatMap((file) => /^Pulumi\.(.+)\.yaml$/.exec(file)?.[1] ?? [])
    .filter((stack) => !noEnvironment.test(stack))
    .sort();
}

// What a stack is not made from: the rest is the program, and changes every stack.
const elsewhere = [
  /^(accept|docs|lab|policy|report|test|tools|\.ci|\.github)\//,
  /^[^/]*\.(md|example\.yaml|schema\.json)$/,
  /^\.[^/]*$/,
];
const ownFile = /^Pulumi\.(.+)\.yaml$/;

/**
 * The stacks that a change concerns: those whose own file is in it, or all if the program is.
 * @param changed paths in the repository; undefined where nobody can tell, which may be anything.
 */
export function changedStacks(stacks: readonly string[], changed: readonly string[] | undefined): string[] {
  if (changed === undefined) return [...stacks];
  const own = new Set(changed.flatMap((path) => ownFile.exec(path)?.[1] ?? []));
  const program = changed.some((path) => !ownFile.test(path) && !elsewhere.some((rule) => rule.test(path)));
  return stacks.filter((stack) => program || own.has(stack));
}
