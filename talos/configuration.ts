/** A machine configuration for rules to inspect, and their findings. */
import { textOf, treeAt, type Tree, type TreeMap } from "./configTree.ts";

/** A place in a configuration: the kind of a document (empty for the v1alpha1 one) and the keys in it. */
export interface Place {
  readonly kind: string;
  readonly keys: readonly string[];
  /** A specific scalar below it. */
  readonly value?: string | undefined;
}

/** A problem in a configuration. */
export interface Finding {
  readonly rule: string;
  /** Contains no secret values. */
  readonly reason: string;
  /** Where it may come from, most likely place first. */
  readonly places: readonly Place[];
}

/** A configuration's documents, by content. */
export class Configuration {
  readonly documents: readonly TreeMap[];
  readonly main: TreeMap | undefined;

  constructor(documents: readonly TreeMap[]) {
    this.documents = documents;
    this.main = documents.find((document) => !document.has("kind"));
  }

  /** A value of the v1alpha1 document. */
  at(...keys: string[]): Tree | undefined {
    return treeAt(this.main, ...keys);
  }

  text(...keys: string[]): string | undefined {
    return textOf(this.main, ...keys);
  }

  of(kind: string): readonly TreeMap[] {
    return this.documents.filter((document) => textOf(document, "kind") === kind);
  }
}

/** A place in the v1alpha1 document. */
export function inMainDocument(...keys: string[]): Place {
  return { kind: "", keys };
}
