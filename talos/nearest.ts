/** The known name most likely meant by an unknown one: the same but for case, or one edit away. */
export function nearestName(known: readonly string[], name: string): string | undefined {
  const meant = name.toLowerCase();
  return (
    known.find((other) => other.toLowerCase() === meant) ??
    known.find((other) => oneEditApart(other.toLowerCase(), meant))
  );
}

/** One letter too many, missing or wrong, or two neighbors swapped. */
function oneEditApart(a: string, b: string): boolean {
  if (Math.min(a.length, b.length) < 3) return false; // short words are all one edit apart
  let start = 0;
  while (start < Math.min(a.length, b.length) && a[start] === b[start]) start++;
  const [restA, restB] = [a.slice(start), b.slice(start)];
  return (
    restA.slice(1) === restB ||
    restA === restB.slice(1) ||
    restA.slice(1) === restB.slice(1) ||
    (restA[0] === restB[1] && restA[1] === restB[0] && restA.slice(2) === restB.slice(2))
  );
}
