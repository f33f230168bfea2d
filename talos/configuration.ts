/** A machine configuration for rules to look into, and what they say of it. */
import { textOf, treeAt, type Tree, type TreeMap } from "./configTree.ts";

/** A place in a configuration: the kind of a document (empty for the v1alpha1 one) and the keys in it. */
export interface Place {
  readonly kind: string;
  readonly keys: readonly string[];
  /** A scalar below it that is meant. */
  readonly value?: string | undefined;
}

/** Something that is wrong with a configuration. */
export interface Finding {
  readonly rule: string;
  /** No secret's value. */
  readonly reason: string;
  /** Where it can come from, the likeliest place first. */
  readonly places: readonly Place[];
}

/** A configuration's documents, by what is in them. */
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
