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
const outsideProgram = [
  /^(accept|docs|doctor|lab|policy|report|test|tools|\.ci|\.github)\//,
  /^[^/]*\.(md|example\.yaml|schema\.json)$/,
  /^(stages|renovate)\.json$/,
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
  const program = changed.some(
    (path) => !ownFile.test(path) && !outsideProgram.some((rule) => rule.test(path)),
  );
  return stacks.filter((stack) => program || own.has(stack));
}

/** As many stages as up.yml has jobs for. */
export const mostStages = 4;

/** stages.json does not fit the stacks, or a stack was asked for that does not exist. */
export class StagesError extends Error {
  override readonly name = "StagesError";
}

/**
 * The stacks in the order in which they are deployed: a list for each stage, always `mostStages` of them. A stack of stages.json that has no
 * file yet is left out.
 *
 * @param stages the contents of stages.json, such as `[["staging"], ["prod-eu", "prod-us"]]`
 * @throws StagesError with every mistake: a stack in no stage or in two, too many stages, another form
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
    // Its approval would be the environment of another stack's previews, which asks nobody.
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
