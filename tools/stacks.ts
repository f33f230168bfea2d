/** Lists the stacks, and those that a change affects. */

// Lab stacks, which no pipeline can reach, and files meant to be copied.
const noEnvironment = /^(dev|dev-new|template|.*\.example)$/;

/** The stacks of real environments, from the file names in the project's folder. */
export function stacksIn(files: readonly string[]): string[] {
  return files
    .flatMap((file) => /^Pulumi\.(.+)\.yaml$/.exec(file)?.[1] ?? [])
    .filter((stack) => !noEnvironment.test(stack))
    .sort();
}

// Files that no stack depends on. Everything else is the program and affects every stack.
const outsideProgram = [
  /^(accept|docs|doctor|lab|policy|report|test|tools|\.ci|\.github)\//,
  /^[^/]*\.(md|example\.yaml|schema\.json)$/,
  /^(stages|renovate)\.json$/,
  /^\.[^/]*$/,
];
const ownFile = /^Pulumi\.(.+)\.yaml$/;

/**
 * The stacks that a change affects: those whose own file changed, or all of them if the program changed.
 * @param changed paths in the repository; undefined if unknown, which counts as a change of everything.
 */
export function changedStacks(stacks: readonly string[], changed: readonly string[] | undefined): string[] {
  if (changed === undefined) return [...stacks];
  const own = new Set(changed.flatMap((path) => ownFile.exec(path)?.[1] ?? []));
  const program = changed.some(
    (path) => !ownFile.test(path) && !outsideProgram.some((rule) => rule.test(path)),
  );
  return stacks.filter((stack) => program || own.has(stack));
}

/** The number of stages that up.yml has jobs for. */
export const mostStages = 4;

/** stages.json does not match the stacks, or the requested stack does not exist. */
export class StagesError extends Error {
  override readonly name = "StagesError";
}

/**
 * The stacks in deployment order: one list per stage, always `mostStages` lists. A stack in stages.json that has no file yet is left
 * out.
 *
 * @param stages the contents of stages.json, such as `[["staging"], ["prod-eu", "prod-us"]]`
 * @throws StagesError with every mistake: a stack in no stage or in two, too many stages, or the wrong format
 */
export function groupByStage(stages: unknown, stacks: readonly string[]): string[][] {
  if (!isStages(stages))
    throw new StagesError(
      'stages.json must be a list of lists of stack names, such as [["staging"], ["prod"]]',
    );
  const named = stages.flat();
  const problems = [
    ...stacks
      .filter((stack) => !named.includes(stack))
      .map((stack) => `Pulumi.${stack}.yaml is in no stage of stages.json: add ${stack} to one`),
    ...[...new Set(named)]
      .filter((stack) => named.indexOf(stack) !== named.lastIndexOf(stack))
      .map((stack) => `stages.json names ${stack} twice`),
    // Its environment would be the one of another stack's previews, which has no required reviewers.
    ...named
      .filter((stack) => named.includes(`${stack}-preview`))
      .map(
        (stack) =>
          `${stack}-preview cannot be a stack beside ${stack}: it is the environment of ${stack}'s previews`,
      ),
    ...(stages.length > mostStages
      ? [`stages.json has ${stages.length} stages: up.yml has jobs for ${mostStages}`]
      : []),
  ];
  if (problems.length > 0) throw new StagesError(problems.join("\n"));
  return Array.from({ length: mostStages }, (_, index) =>
    (stages[index] ?? []).filter((stack) => stacks.includes(stack)),
  );
}

function isStages(value: unknown): value is string[][] {
  return (
    Array.isArray(value) &&
    value.every(
      (stage) => Array.isArray(stage) && stage.every((stack) => typeof stack === "string" && stack !== ""),
    )
  );
}
